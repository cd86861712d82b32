"""What this host does not lend or has not, whoever else has allowed it."""

from hostagent.errors import Refused
from hostagent.host import Host
from hostagent.records import SetRow
from setspec.desired import DesiredSet
from setspec.privileges import needed


def refuse_privileges(host: Host, desired: DesiredSet) -> None:
    """Raise Refused where a set asks for more than the agent's configuration allows."""
    for each in needed(desired.spec):
        if each.privilege not in host.allowed:
            raise Refused(
                f"{each.pointer}: this host does not do that; its operator may set "
                f"allow_{each.privilege} in [agent]"
            )


def refuse_volumes(host: Host, desired: DesiredSet, former: SetRow | None) -> None:
    """Raise Refused where volumes cannot be as a set's document newly says."""
    known = host.desired(former) if former is not None else None
    if known is not None and (known.spec.volumes, known.allocation.volumes) == (
        desired.spec.volumes, desired.allocation.volumes,
    ):  # fmt: skip
        return
    taken = holders(host) if desired.allocation.volumes else {}
    for placed in desired.allocation.volumes:
        holder = taken.get(placed.id, desired.set)
        if holder != desired.set:
            raise Refused(f"/volumes: volume {placed.id} is set {holder}'s: delete that set first")
    for place, why in host.volumes.objections(desired):
        raise Refused(f"/volumes/{place}: {why}")


def holders(host: Host) -> dict[str, str]:
    """By volume, the set that has it, or may have it mounted still."""
    rows = {row.set: row for row in host.store.rows(SetRow)}
    found = {volume: name for volume, name in host.volumes.sets().items() if name in rows}
    for row in rows.values():
        found |= {each.id: row.set for each in host.desired(row).allocation.volumes}
    return found
