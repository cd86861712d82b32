"""The files of /etc that the host writes for a set: hosts, hostname, resolv.conf (pure)."""

from setspec.desired import DesiredSet


def texts(desired: DesiredSet) -> dict[str, str]:
    """What is in them, by name."""
    allocation = desired.allocation
    hosts = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    addresses = [each for port in allocation.ports for each in port.addresses]
    hosts += [f"{each.partition('/')[0]} {allocation.hostname}" for each in addresses]
    if not addresses:
        hosts.append(f"127.0.1.1 {allocation.hostname}")
    servers = dict.fromkeys(each for port in allocation.ports for each in port.dns)
    return {
        "hosts": "\n".join(hosts) + "\n",
        "hostname": f"{allocation.hostname}\n",
        "resolv.conf": "".join(f"nameserver {each}\n" for each in servers),
    }
