"""An image's config and a container of a set document, as a runtime-spec config.json (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from runspec.limits import CannotRun, Limits
from runspec.users import Account
from setspec.normal import Command, Exec, Infra, SecretRef, Workload

Json = dict[str, Any]
CPU_PERIOD: Final = 100_000
"""Microseconds."""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITIES: Final = tuple(
    f"CAP_{name}"
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)
"""Docker's list, less MKNOD."""
MASKED: Final = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
READ_ONLY: Final = (
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
)  # fmt: skip
ETC: Final = ("hosts", "hostname", "resolv.conf")
"""The files of /etc that the host writes."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A directory or file of the host, at *destination* in the container."""

    source: Path
    destination: str
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a host puts round a container."""

    rootfs: Path
    cgroup: str
    namespaces: Mapping[str, Path]
    """By the runtime-spec's names; a kind that is absent is the host's own."""
    binds: Sequence[Bind]
    shm: Path
    hostname: str
    account: Account
    secrets: Mapping[str, str]
    seccomp: Json | None
    capabilities: Sequence[str] = CAPABILITIES
    """What a privileged container gets, too, is only what the agent has itself."""
    nofile: tuple[int, int] | None = None
    """The host's limits of open files, soft and hard; None: those of whoever starts it."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """What is said to the host's own runtime, beside the specification."""


def config(workload: Workload, image: Json, around: Surroundings) -> Json:
    """The config.json of one container."""
    privileged = isinstance(workload, Infra) and workload.privileged
    linux: Json = {
        "cgroupsPath": around.cgroup,
        "namespaces": [
            {"type": "pid"},
            {"type": "mount"},
            {"type": "cgroup"},
            *({"type": kind, "path": str(path)} for kind, path in around.namespaces.items()),
        ],
        "resources": {
            "devices": [{"allow": privileged, "access": "rwm"}],
            **resources(limits_of(workload)),
        },
        "rootfsPropagation": "private",
    }
    if not privileged:
        linux["maskedPaths"] = list(MASKED)
        linux["readonlyPaths"] = list(READ_ONLY)
        if around.seccomp is not None:
            linux["seccomp"] = around.seccomp
    return {
        "ociVersion": "1.0.2",
        "process": _process(workload, image, around),
        "root": {"path": str(around.rootfs), "readonly": False},
        "mounts": _mounts(around, privileged=privileged),
        "linux": linux,
        "annotations": {
            "org.opencontainers.image.stopSignal": stop_signal(workload, image),
            **around.annotations,
        },
    }


def limits_of(workload: Workload) -> Limits:
    """What of a container can be changed while it runs."""
    return Limits(workload.mem, workload.cpu, workload.limits.pids)


def resources(limits: Limits) -> Json:
    """Limits as runtime-spec says them; no swap."""
    return {
        "memory": {"limit": limits.mem, "swap": limits.mem},
        "cpu": {"period": CPU_PERIOD, "quota": limits.cpu * CPU_PERIOD // 1000},
        "pids": {"limit": limits.pids},
    }


def arguments(command: Command | None, image: Json) -> list[str]:
    """What is run. Raises CannotRun where neither document nor image names a program."""
    inner = _inner(image)
    words = list(inner.get("Entrypoint") or [])
    more = list(inner.get("Cmd") or [])
    if command is not None:
        if command.cmd is not None:
            words, more = [command.cmd], list(command.args or ())
        elif command.args is not None:
            more = list(command.args)
    if not words + more:
        raise CannotRun(
            "neither the set document nor the image says what to run: add options.command.cmd"
        )
    return [*words, *more]


def environment(workload: Workload, image: Json, around: Surroundings) -> list[str]:
    """The variables: the image's, and over them the document's."""
    variables = {"PATH": PATH, "HOME": around.account.home, "HOSTNAME": around.hostname}
    for each in _inner(image).get("Env") or []:
        name, _, value = str(each).partition("=")
        variables[name] = value
    for name, said in workload.env:
        variables[name] = around.secrets[said.secret_ref] if isinstance(said, SecretRef) else said
    return [f"{name}={value}" for name, value in variables.items()]


def user_of(workload: Workload, image: Json) -> str:
    """Who runs it, as it is written: the document's word, else the image's."""
    return workload.user or str(_inner(image).get("User") or "")


def stop_signal(workload: Workload, image: Json) -> str:
    """The signal that asks it to end."""
    said = workload.stop.signal or str(_inner(image).get("StopSignal") or "SIGTERM")
    return said if said.startswith("SIG") else f"SIG{said}"


def program(process: Json, command: Exec, *, terminal: bool = False) -> Json:
    """The process of a config.json, with another program in it."""
    return {**process, "args": [command.cmd, *command.args], "terminal": terminal}


def _process(workload: Workload, image: Json, around: Surroundings) -> Json:
    account = around.account
    capabilities = list(around.capabilities)
    limits = workload.limits
    nofile = (limits.nofile, limits.nofile) if limits.nofile else around.nofile
    return {
        "terminal": False,
        "user": {"uid": account.uid, "gid": account.gid, "additionalGids": list(account.groups)},
        "args": arguments(workload.command, image),
        "env": environment(workload, image, around),
        "cwd": workload.workdir or str(_inner(image).get("WorkingDir") or "") or "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": nofile[0], "hard": nofile[1]}]
        if nofile
        else [],
        "noNewPrivileges": False,
    }


def _mounts(around: Surroundings, *, privileged: bool) -> list[Json]:
    plain = ["nosuid", "noexec", "nodev"]
    shown = [*plain, "rw" if privileged else "ro"]
    mounts: list[Json] = [
        _mount("/proc", "proc", "proc", plain),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", "devpts",
               ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _mount("/dev/mqueue", "mqueue", "mqueue", plain),
        _mount("/sys", "sysfs", "sysfs", shown),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*shown, "relatime"]),
        _mount("/dev/shm", "bind", str(around.shm), [*plain, "bind", "rw"]),  # noqa: S108
    ]  # fmt: skip
    for bind in sorted(around.binds, key=lambda each: each.destination):
        options = ["rbind", "rprivate", "nodev", "nosuid", "ro" if bind.read_only else "rw"]
        mounts.append(_mount(bind.destination, "bind", str(bind.source), options))
    return mounts


def sources(config: Json) -> list[Path]:
    """The paths of the host that a container is made of, where each may be a mount of its own."""
    kinds = config["linux"]["namespaces"]
    shared = [kind["path"] for kind in kinds if not kind.get("path", "/proc").startswith("/proc")]
    binds = [each["source"] for each in config["mounts"] if each["type"] == "bind"]
    return [Path(path) for path in (config["root"]["path"], *shared, *binds)]


def _mount(destination: str, kind: str, source: str, options: list[str]) -> Json:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def _inner(image: Json) -> Json:
    inner = image.get("config")
    return inner if isinstance(inner, dict) else {}
