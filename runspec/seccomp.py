"""The usual seccomp profile, as containers' packages of a distribution bring it (pure).

It comes in Docker's spelling, with conditions on capabilities, architectures and kernels; the
runtime-spec has none, so they are decided here.
"""

from collections.abc import Collection
from typing import Any, Final

Json = dict[str, Any]

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}


def profile(text: Json, machine: str, kernel: str, capabilities: Collection[str]) -> Json:
    """*text* for one machine (``uname -m``), kernel and set of capabilities.

    Raises ValueError where *text* is no such profile.
    """
    try:
        _hold(text)
        return _made(text, machine, kernel, capabilities)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("it is no seccomp profile in Docker's spelling") from error


def _hold(text: Json) -> None:
    """Raise KeyError or TypeError where an action or a system call has no name."""
    rules = text.get("syscalls") or []
    actions = [text["defaultAction"], *(each["action"] for each in rules)]
    names = [name for each in rules for name in each.get("names") or [each["name"]]]
    told = isinstance(rules, list) and all(isinstance(each, str) for each in names)
    if not told or not all(each.startswith("SCMP_ACT_") for each in actions):
        raise TypeError


def _made(text: Json, machine: str, kernel: str, capabilities: Collection[str]) -> Json:
    architecture = _ARCHITECTURES.get(machine, machine)
    facts = (architecture, _version(kernel), capabilities)
    rules = [
        _rule(each)
        for each in text.get("syscalls") or []
        if _holds(each.get("includes") or {}, *facts, empty=True)
        and not _holds(each.get("excludes") or {}, *facts, empty=False)
    ]
    made: Json = {
        "defaultAction": text["defaultAction"],
        "architectures": _names(text, architecture),
        "syscalls": [rule for rule in rules if rule["names"]],
    }
    if "defaultErrnoRet" in text:
        made["defaultErrnoRet"] = text["defaultErrnoRet"]
    return made


def _rule(each: Json) -> Json:
    kept = {key: each[key] for key in ("action", "errnoRet") if each.get(key) is not None}
    if each.get("args"):
        kept["args"] = each["args"]
    return {"names": list(each.get("names") or [each["name"]]), **kept}


def _holds(
    condition: dict[str, Any],
    architecture: str,
    kernel: tuple[int, ...],
    capabilities: Collection[str],
    *,
    empty: bool,
) -> bool:
    """Whether all (of an inclusion) or any (of an exclusion) of what is named holds."""
    told = []
    if condition.get("arches"):
        told.append(architecture in condition["arches"])
    if condition.get("caps"):
        told.append(any(each in capabilities for each in condition["caps"]))
    if condition.get("minKernel"):
        told.append(kernel >= _version(condition["minKernel"]))
    if not told:
        return empty
    return all(told) if empty else any(told)


def _names(text: Json, architecture: str) -> list[str]:
    """The ABIs of one machine."""
    own = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}.get(
        architecture, f"SCMP_ARCH_{architecture.upper()}"
    )
    for entry in text.get("archMap") or []:
        if entry.get("architecture") == own:
            return [own, *(entry.get("subArchitectures") or [])]
    return [own]


def _version(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split(".")[:2]:
        digits = "".join(char for char in part if char.isdigit())
        numbers.append(int(digits or 0))
    return tuple(numbers)
