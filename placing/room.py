"""What no host of this size could ever give (pure)."""

from setspec.faults import Fault, Faults, Path, shown
from setspec.normal import INFRA, SetSpec
from setspec.units import spell_bytes, spell_cores


def refuse_beyond(spec: SetSpec, cores: int, memory: int) -> None:
    """Raise DocumentInvalid where one container is to have more than all the host's.

    *cores* are the host's, *memory* its bytes. Who else is there does not count: what is reserved
    on a host is the scheduler's business.
    """
    faults = Faults()
    places: list[Path] = [("containers", place) for place in range(len(spec.containers))]
    if spec.infra is not None:
        places.insert(0, (INFRA,))
    for path, (_, workload) in zip(places, spec.workloads(), strict=True):
        if workload.cpu > cores * 1000:
            faults.add(_fault((*path, "cpu"), spell_cores(workload.cpu), f"{cores} cores"))
        if workload.mem > memory:
            faults.add(_fault((*path, "mem"), spell_bytes(workload.mem), f"{memory} bytes"))
    faults.refuse_if_any()


def _fault(path: Path, value: str, all_: str) -> Fault:
    why = f"This host has {all_} in all"
    return Fault(path, "unavailable", f"is {shown(value)}", why, "Ask for less")
