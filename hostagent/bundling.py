"""An attempt's bundle on disk: its root with deployed files in it, and its config.json."""

import json
from collections.abc import Iterator
from pathlib import Path

from hostagent.allowed import refuse_privileges
from hostagent.errors import StepFailed
from hostagent.host import Host
from hostagent.ports import Json
from hostagent.recipes import recipe_of
from hostagent.records import Attempt, SetRow
from hostbase import private
from inside import root as inroot
from runspec.bundle import CAPABILITIES, ETC, Bind, Surroundings, config, user_of
from runspec.limits import CannotRun
from runspec.users import find
from setspec.normal import Infra, Workload


def write_bundle(host: Host, bundle: Path, row: SetRow, attempt: Attempt) -> None:
    """Make everything that a runtime needs for *attempt* in *bundle*. Raises StepFailed."""
    try:
        private.write(bundle / "config.json", _config(host, row, attempt), durably=False)
    except (CannotRun, inroot.CannotReach) as error:
        raise StepFailed(str(error)) from None


def _config(host: Host, row: SetRow, attempt: Attempt) -> Json:
    workload = recipe_of(attempt).workload
    image: Json = json.loads(attempt.image)
    desired = host.desired(row)
    privileged = isinstance(workload, Infra) and workload.privileged
    refuse_privileges(host, desired)
    secrets = host.secrets(attempt.set)
    root = host.images.prepare(attempt.disk, attempt.digest, workload.limits.writable)
    host.deploy(root, (*workload.files, *host.files(attempt.set, attempt.container)), secrets)
    user = user_of(workload, image)
    passwd, group = (
        inroot.read(root, path).decode("utf-8", "replace") for path in ("/etc/passwd", "/etc/group")
    )
    seccomp = None if privileged else host.seccomp
    around = Surroundings(
        rootfs=root,
        cgroup=f"{host.cgroup}/sets/{attempt.set}/{attempt.id}",
        namespaces=host.namespaces.all(attempt.set, host_network=desired.spec.host_network),
        binds=tuple(_binds(host, row, workload)),
        shm=host.namespaces.shm(attempt.set),
        hostname=desired.allocation.hostname,
        account=find(user, passwd, group),
        secrets=secrets,
        seccomp=seccomp,
        nofile=host.nofile,
        annotations=host.runtime.annotations(seccomp),
        capabilities=host.capabilities if privileged else CAPABILITIES,
    )
    return config(workload, image, around)


def _binds(host: Host, row: SetRow, workload: Workload) -> Iterator[Bind]:
    for name in ETC:
        yield Bind(host.layout.etc(row.set) / name, f"/etc/{name}", read_only=False)
    paths = json.loads(row.volumes)["paths"] if row.volumes else {}
    for mount in workload.mounts:
        if mount.host_path is not None:
            yield Bind(Path(mount.host_path), mount.path, read_only=mount.read_only)
        else:
            assert mount.volume is not None
            yield Bind(Path(paths[mount.volume]), mount.path, read_only=mount.read_only)
