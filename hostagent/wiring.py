"""Builds an agent from its configuration; the one module that knows the adapters."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hostagent import points
from hostagent.adopt import Adopted, adopt
from hostagent.bridge import Bridge, BridgeNetwork
from hostagent.cgroups import Cgroups, program
from hostagent.config import Config
from hostagent.files import boot_of, hold_authorities, seccomp_of
from hostagent.host import Host, Layout
from hostagent.host_images import HostImages
from hostagent.keeper import Keeper
from hostagent.namespaces import Namespaces
from hostagent.oci_runtime import OciRuntime
from hostagent.readings import Readings
from hostagent.store import Store
from hostagent.told import told
from hostagent.volumes import HostVolumes
from hostagent.watch import Watch
from hostbase.process import raise_files
from hostimages.settings import ImageSettings, RegistrySettings
from runspec.ioctls import PROJECT_CHANGES, refuse_ioctls
from settings.reading import ConfigError
from volumes.opening import open_storage


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that runs."""

    host: Host
    keeper: Keeper
    adopted: Adopted
    images: HostImages


@contextmanager
def running(config: Config) -> Iterator[Agent]:
    """Yield an agent; at the end it is gone, and containers run on. Raises ConfigError."""
    agent = config.agent
    hold_authorities(config.images)
    seccomp, boot = seccomp_of(agent.seccomp), boot_of(agent.boot_id)
    layout = Layout(agent.state, agent.run)
    try:
        layout.make()
    except OSError as error:
        raise ConfigError(
            f"agent.state, agent.run: {error.filename} cannot be made: {error.strerror}"
        ) from error
    cgroups = Cgroups(agent.cgroup)
    owner = {"agent": str(agent.state)}
    keepers: list[Keeper] = []
    with ExitStack() as stack:
        store = Store(layout.database)
        stack.callback(store.close)
        with told():
            storage = open_storage(agent.state, config.storage, points.reach)
        images = HostImages(image_settings(config), storage.disks)
        stack.callback(images.close)

        def wake(set_id: str) -> None:
            keepers[0].wake(set_id)

        watch = Watch(layout.exits, wake)
        stack.callback(watch.close)
        name = _needed(runtime_of(config))
        runtime = OciRuntime(name, _needed("conmon"), cgroups, agent.run, layout.exits)
        stack.callback(runtime.close)
        host = Host(
            layout=layout,
            store=store,
            runtime=runtime,
            network=BridgeNetwork(
                {
                    name: Bridge(bridge=each.bridge, address=each.address)
                    for name, each in config.networks.items()
                },
                agent.prefix,
            ),
            volumes=HostVolumes(storage, owner),
            images=images,
            namespaces=Namespaces(agent.run),
            watch=watch,
            readings=Readings(),
            cgroup=agent.cgroup,
            boot=boot,
            seccomp=refuse_ioctls(seccomp, PROJECT_CHANGES) if storage.by_project else seccomp,
            nofile=raise_files(),
            allowed=agent.allowed,
            capabilities=own_capabilities(),
            owner=owner,
        )
        keeper = Keeper(host, agent.workers)
        keepers.append(keeper)
        adopted = adopt(host, list(cgroups.attempts()), autostart=agent.autostart)
        keeper.start()
        stack.callback(keeper.close)
        yield Agent(host, keeper, adopted, images)


def runtime_of(config: Config) -> str:
    """The OCI runtime's name: crun where it is there, as it is faster."""
    name = config.agent.runtime
    return name if name != "auto" else ("crun" if program("crun") else "runc")


def image_settings(config: Config) -> ImageSettings:
    """The image cache's settings."""
    registries = RegistrySettings(
        plain_http=frozenset(config.images.plain_http), ca_file=config.images.ca_file
    )
    return ImageSettings(directory=config.agent.state / "images", registries=registries)


def own_capabilities() -> tuple[str, ...]:
    """The capabilities that the agent has itself, and so can give to what is privileged."""
    lines = Path("/proc/self/status").read_text().splitlines()
    bits = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff"))
    return tuple(f"CAP_{name}" for number, name in enumerate(_NAMES.split()) if bits >> number & 1)


_NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG
MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM
BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
"""capabilities(7), in the order of their numbers."""


def _needed(name: str) -> str:
    found = program(name)
    if found is None:
        raise ConfigError(f"{name} is not on this host: install it, and see berth agent doctor")
    return found
