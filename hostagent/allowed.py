"""What this host does not lend, whoever else has allowed it."""

from hostagent.errors import Refused
from hostagent.host import Host
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
