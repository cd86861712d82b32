"""The config.json of sshd beside a container, out of the container's own (pure).

It has the container's root, volumes and namespaces, all but the mounts: those are the same again,
with what sshd brings along added where the container does not see it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runspec.bundle import CAPABILITIES, PATH
from setspec.normal import Container, Limits, Readiness, Stop, TcpProbe, Workload
from setspec.units import MIB
from sshd.login import GROUP, Login

Json = dict[str, Any]
HERE: Final = "/dev/berth"
"""Where things are mounted: in sshd's own /dev, so that nothing is made in the image's root."""
KIT: Final = f"{HERE}/kit"
LOGIN: Final = f"{HERE}/login"
IMAGES_SSHD: Final = "/usr/sbin/sshd"
PORT: Final = 22
_KINDS: Final = ("bounding", "effective", "permitted")
_RUN: Final = "/run/sshd"
"""Where Debian's sshd wants an empty directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What sshd is put beside, and what it gets."""

    pid: int
    """The container's first process."""
    cgroup: str
    """In the container's own, so that what is done by ssh counts against its limits."""
    words: Sequence[str]
    binds: Mapping[str, Path]
    """Paths of the host by their places there."""
    seccomp: Json | None


def workload(beside: Workload) -> Container:
    """What sshd is among a set's workloads: ready when its port is, and restarted for ever."""
    return Container(
        name="ssh",
        index=0,
        image=beside.image,
        cpu=beside.cpu,
        mem=beside.mem,
        readiness=Readiness(tcp=TcpProbe(port=PORT), min_ready_s=0),
        stop=Stop(signal="SIGTERM", grace_s=1),
        limits=Limits(logs=MIB),
    )


def config(container: Json, beside: Beside) -> Json:
    """What the runtime is told."""
    linux = container["linux"]
    own = {"type": "pid", "path": f"/proc/{beside.pid}/ns/pid"}
    made: Json = {
        **{name: what for name, what in linux.items() if name != "seccomp"},
        "cgroupsPath": beside.cgroup,
        "namespaces": [own if each["type"] == "pid" else each for each in linux["namespaces"]],
        "resources": {"devices": linux["resources"]["devices"]},
    }
    if beside.seccomp is not None:
        made["seccomp"] = beside.seccomp
    return {
        "ociVersion": container["ociVersion"],
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(beside.words),
            "env": [f"PATH={PATH}"],
            "cwd": "/",
            "capabilities": {kind: list(CAPABILITIES) for kind in _KINDS},
            "rlimits": container["process"]["rlimits"],
            "noNewPrivileges": False,
        },
        "root": container["root"],
        "mounts": [*container["mounts"], *_mounts(beside)],
        "linux": made,
    }


def dropbear(start: Sequence[str], login: Login) -> list[str]:
    """Its words: in the foreground, telling its output; for root alone."""
    words = [*start, "-F", "-E", "-m", "-p", str(PORT), "-P", f"{HERE}.pid"]
    words += ["-r", f"{LOGIN}/dropbear_key", "-G", GROUP]
    return words if login.password else [*words, "-s"]


def openssh() -> list[str]:
    """The words of the image's own sshd."""
    return [IMAGES_SSHD, "-D", "-e", "-f", f"{LOGIN}/sshd_config"]


def sshd_config(login: Login) -> str:
    """The configuration of the image's own sshd; nothing of the image's counts."""
    lines = {
        "Port": str(PORT),
        "HostKey": f"{LOGIN}/host_key",
        "AuthorizedKeysFile": f"{LOGIN}/authorized_keys",
        "AllowUsers": "root",
        "PermitRootLogin": "yes",
        "PasswordAuthentication": "yes" if login.password else "no",
        "ChallengeResponseAuthentication": "no",
        "PrintMotd": "no",
        "PidFile": "none",
        "Subsystem": "sftp internal-sftp",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _mounts(beside: Beside) -> list[Json]:
    mounts = [
        {
            "destination": place,
            "type": "bind",
            "source": str(source),
            "options": ["rbind", "rprivate", "nodev", "nosuid", "ro"],
        }
        for place, source in beside.binds.items()
    ]
    if beside.words[0] == IMAGES_SSHD:
        options = ["nosuid", "nodev", "noexec", "mode=755", "size=64k"]
        mounts.append({"destination": _RUN, "type": "tmpfs", "source": "tmpfs", "options": options})
    return mounts
