"""Cores, memory and disk: as documents write them, and as whole numbers of one unit."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final, Literal

KIB: Final = 2**10
MIB: Final = 2**20
GIB: Final = 2**30
TIB: Final = 2**40

_BYTE_UNITS: Final = {
    "Ti": TIB, "Gi": GIB, "Mi": MIB, "Ki": KIB, "": 1,
    "T": 10**12, "G": 10**9, "M": 10**6, "k": 10**3,
}  # fmt: skip
_CORES = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(m?)")
_BYTES = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?)(?:([KMGT]i|[kMGT])B?|B)")

CpuUnit = Literal["centicore", "millicore", "core"]
SizeUnit = Literal["MiB", "GiB"]

_CPU_UNITS: Final[dict[CpuUnit, int]] = {"core": 1000, "centicore": 10, "millicore": 1}
_SIZE_UNITS: Final[dict[SizeUnit, int]] = {"MiB": MIB, "GiB": GIB}


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """``[set.units]``: what a bare number in a set document v2 counts."""

    cpu: CpuUnit = "centicore"
    mem: SizeUnit = "MiB"
    quota: SizeUnit = "GiB"

    def __post_init__(self) -> None:
        if self.cpu not in _CPU_UNITS:
            raise ValueError(f"set.units.cpu must be one of {', '.join(_CPU_UNITS)}")
        for name in ("mem", "quota"):
            if getattr(self, name) not in _SIZE_UNITS:
                raise ValueError(f"set.units.{name} must be one of {', '.join(_SIZE_UNITS)}")

    def spell_cpu(self, number: float) -> str:
        """*number* of this unit, as v3 writes it; raise ValueError unless millicores."""
        return spell_cores(_whole(Decimal(str(number)) * _CPU_UNITS[self.cpu], "millicores"))

    def spell_mem(self, number: float) -> str:
        """*number* of this unit, as v3 writes it; raise ValueError unless whole bytes."""
        return spell_bytes(_whole(Decimal(str(number)) * _SIZE_UNITS[self.mem], "bytes"))

    def spell_quota(self, number: float) -> str:
        """*number* of this unit, as v3 writes it; raise ValueError unless whole bytes."""
        return spell_bytes(_whole(Decimal(str(number)) * _SIZE_UNITS[self.quota], "bytes"))


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity between two bounds, in whole millicores or bytes."""

    unit: Literal["millicores", "bytes"]
    minimum: int
    maximum: int

    def read(self, text: str) -> int:
        """The quantity that *text* is; raise ValueError with the reason if it is none."""
        number = parse_cores(text) if self.unit == "millicores" else parse_bytes(text)
        if not self.minimum <= number <= self.maximum:
            least, most = self.write(self.minimum), self.write(self.maximum)
            raise ValueError(f"must be at least {least} and at most {most}")
        return number

    def write(self, number: int) -> str:
        """*number* as v3's normal form writes it."""
        return spell_cores(number) if self.unit == "millicores" else spell_bytes(number)


CPU: Final = Measure("millicores", 10, 1_000_000)
"""A hundredth of a core is 1 ms of 100 ms, the shortest quota that a kernel takes."""
MEM: Final = Measure("bytes", 4 * MIB, 16 * TIB)
DISK: Final = Measure("bytes", 16 * MIB, 64 * TIB)
SMALL: Final = Measure("bytes", 64 * KIB, 64 * GIB)
"""Logs and /dev/shm."""

FORMATS: Final = {"cpu": CPU, "mem": MEM, "disk": DISK, "small": SMALL}
"""The schemas' ``format`` for each."""

Cpu = Annotated[int, CPU]
Mem = Annotated[int, MEM]
Disk = Annotated[int, DISK]
Small = Annotated[int, SMALL]


def parse_cores(text: str) -> int:
    """Millicores: of ``0.8`` (cores) or ``800m``. Raises ValueError."""
    match = _CORES.fullmatch(text)
    if match is None:
        raise ValueError("must be cores, as in 0.8, or millicores, as in 800m")
    return _whole(Decimal(match[1]) * (1 if match[2] else 1000), "millicores")


def parse_bytes(text: str) -> int:
    """Bytes: of ``512Mi``, ``512MiB``, ``1.5G``, ``1.5GB``, ``4096B``. Raises ValueError."""
    match = _BYTES.fullmatch(text)
    if match is None:
        raise ValueError("must be a number with its unit, as in 512Mi, 10GiB or 4096B")
    return _whole(Decimal(match[1]) * _BYTE_UNITS[match[2] or ""], "bytes")


def spell_cores(millicores: int) -> str:
    """The one spelling of *millicores* in the normal form."""
    return f"{millicores}m"


def spell_bytes(number: int) -> str:
    """The one spelling of *number* bytes in the normal form: the largest unit that divides it."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if number and number % _BYTE_UNITS[unit] == 0:
            return f"{number // _BYTE_UNITS[unit]}{unit}"
    return f"{number}B"


def _whole(number: Decimal, unit: str) -> int:
    if number != number.to_integral_value():
        raise ValueError(f"must be a whole number of {unit}")
    return int(number)
