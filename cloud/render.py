"""The services' configuration, out of the commented templates in cloud/conf."""

import getpass
from collections.abc import Mapping
from pathlib import Path
from string import Template

from cloud.layout import LOOPBACK, VENV, Layout, Settings

TEMPLATES = Path(__file__).parent / "conf"

FEATURES: Mapping[str, str] = {
    "docker": ",docker",
    "protection": "property_protection_file = ${conf}/glance-property-protections.conf",
    "policy": '"context_is_admin": "role:admin or role:berth_registry"',
}
"""What Berth asks of an operator's Glance, each by its name in a template; it can be left out."""

ABSENT: Mapping[str, str] = {
    "docker": "",
    "protection": "",
    "policy": '"context_is_admin": "role:admin"',
}
"""How a template reads without the feature."""


def urls(settings: Settings) -> dict[str, str]:
    """Answer where each API is, by its type in the service catalogue."""
    ports = settings.ports
    return {
        "identity": f"http://{LOOPBACK}:{ports.keystone}/v3",
        "image": f"http://{LOOPBACK}:{ports.glance}",
        "object-store": f"http://{LOOPBACK}:{ports.swift}/v1/AUTH_%(project_id)s",
        "container-registry": settings.registry_url,
    }


def write_configuration(layout: Layout, settings: Settings) -> None:
    """Write every configuration file anew."""
    ports = settings.ports
    secrets = layout.read_secrets()
    where = urls(settings)
    values = {
        "conf": str(layout.conf),
        "data": str(layout.data),
        "log": str(layout.log),
        "venv": str(VENV),
        "user": getpass.getuser(),
        "keystone_url": where["identity"],
        "glance_url": where["image"],
        "glance_password": secrets["glance"],
        "swift_password": secrets["swift"],
        "swift_hash": secrets["swift_hash"],
        "swift_port": str(ports.swift),
        "account_port": str(ports.account),
        "container_port": str(ports.container),
        "object_port": str(ports.object),
        "cache": "remembering " if settings.cached else "",
    }
    chosen = {
        name: ABSENT[name] if name in settings.without else text for name, text in FEATURES.items()
    }
    values |= {name: Template(text).substitute(values) for name, text in chosen.items()}
    for template in TEMPLATES.iterdir():
        text = Template(template.read_text("utf-8")).substitute(values)
        (layout.conf / template.name).write_text(text, "utf-8")
