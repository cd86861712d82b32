"""One look whether a container is ready, as its document says."""

from hostagent.host import Host
from hostagent.recipes import workload_of
from hostagent.records import Attempt, SetRow
from inside.port import answers_get, takes_connection
from runspec.bundle import program


def is_ready(host: Host, row: SetRow, attempt: Attempt) -> bool:
    """Whether it is. A port is looked for at the set's first address, or else at its loopback."""
    readiness = workload_of(attempt.spec).readiness
    desired = host.desired(row)
    seconds = readiness.timeout_s
    if readiness.exec is not None:
        process = program(host.process(attempt), readiness.exec)
        return host.runtime.run(attempt.id, process, seconds).code == 0
    addresses = [each for port in desired.allocation.ports for each in port.addresses]
    address = addresses[0].partition("/")[0] if addresses else "127.0.0.1"
    is_own = not desired.spec.host_network
    namespace = host.namespaces.path(row.set, "network") if is_own else None
    if readiness.tcp is not None:
        return takes_connection(namespace, address, readiness.tcp.port, seconds)
    assert readiness.http is not None
    http = readiness.http
    return answers_get(namespace, address, http.port, http.path, seconds)
