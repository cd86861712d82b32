"""Which processes make the cloud."""

from collections.abc import Callable, Sequence
from pathlib import Path

from cloud.http import answers
from cloud.install import STAMP
from cloud.layout import LOOPBACK, VENV, CloudError, Layout, Settings, is_free
from cloud.processes import Service

INSIDE = Path(__file__).parent / "inside"
PYTHON = VENV / "bin" / "python"
SWIFT = ("swift-account", "swift-container", "swift-object", "swift-proxy")
NAMES = ("keystone", "glance", *SWIFT)


def expand(name: str) -> tuple[str, ...]:
    """Answer the services that a person means by *name*: swift is four of them."""
    if name == "swift":
        return SWIFT
    if name not in NAMES:
        raise CloudError(f"there is no service {name!r}; there are: swift, {', '.join(NAMES)}")
    return (name,)


def services(layout: Layout, settings: Settings) -> dict[str, Service]:
    """Answer every service by its name."""
    ports = settings.ports
    found = [
        _wsgi(layout, "keystone", ports.keystone, 4, "/v3"),
        _wsgi(layout, "glance", ports.glance, 1, "/versions"),  # one thread: see glance-api.conf
        _swift(layout, "account", ports.account),
        _swift(layout, "container", ports.container),
        _swift(layout, "object", ports.object),
        _swift(layout, "proxy", ports.swift),
    ]
    return {service.name: service for service in found}


def _wsgi(layout: Layout, name: str, port: int, threads: int, path: str) -> Service:
    return Service(
        name,
        [PYTHON, INSIDE / "wsgi.py", f"{name}.wsgi.api", str(port), str(threads)],
        [STAMP, INSIDE / "wsgi.py", *sorted(layout.conf.glob(f"{name}*"))],
        _answers(port, path),
        {f"OS_{name.upper()}_CONFIG_DIR": str(layout.conf)},
    )


def _swift(layout: Layout, name: str, port: int) -> Service:
    configuration = layout.conf / f"{name}-server.conf"
    return Service(
        f"swift-{name}",
        # -v: to the console too
        [VENV / "bin" / f"swift-{name}-server", configuration, "-v"],
        [STAMP, configuration, layout.conf / "swift.conf"],
        _answers(port, "/healthcheck"),
        {"PYTHONPATH": str(INSIDE)},
    )


def _answers(port: int, path: str) -> Callable[[], bool]:
    return lambda: answers(f"http://{LOOPBACK}:{port}{path}")


def hold_ports_free(settings: Settings, starting: Sequence[str]) -> None:
    """Raise CloudError if somebody else listens where one of *starting* would."""
    for name in starting:
        port: int = getattr(settings.ports, name.removeprefix("swift-").replace("proxy", "swift"))
        if not is_free(port):
            raise CloudError(f"{name} needs port {port}, where something else listens")
