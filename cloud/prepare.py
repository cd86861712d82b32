"""What must be there before the services start for the first time: databases, keys, rings."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cloud.accounts import REGION
from cloud.layout import VENV, CloudError, Layout, Settings
from cloud.processes import run
from cloud.render import urls
from cloud.services import INSIDE, PYTHON


def prepare(layout: Layout, settings: Settings) -> None:
    """Make what is absent, side by side."""
    steps: dict[str, Callable[[Path], None]] = {
        "swift": lambda data: _prepare_swift(layout, settings, data),
        "glance": lambda data: _prepare_glance(layout, data),
        "keystone": lambda data: _prepare_keystone(layout, settings, data),
    }
    absent = {name: make for name, make in steps.items() if not _done(layout, name).exists()}
    if not absent:
        return
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(_make, layout, name, make) for name, make in absent.items()]
    for future in futures:
        future.result()


def _done(layout: Layout, name: str) -> Path:
    return layout.data / f"{name}.done"


def _make(layout: Layout, name: str, make: Callable[[Path], None]) -> None:
    """Make one service's data anew, over what a run that broke off may have left."""
    data = layout.data / name
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    make(data)
    _done(layout, name).touch()


def _prepare_swift(layout: Layout, settings: Settings, data: Path) -> None:
    disk = data / "disk"
    disk.mkdir()
    try:
        os.setxattr(disk, "user.berth", b"1")
    except OSError as error:
        raise CloudError(f"Swift needs extended attributes, and {disk} has none: {error}") from None
    ports = settings.ports
    pairs = [f"{name}={getattr(ports, name)}" for name in ("account", "container", "object")]
    run("making Swift's rings", [PYTHON, INSIDE / "rings.py", layout.conf, *pairs])


def _prepare_glance(layout: Layout, data: Path) -> None:
    for name in ("images", "staging", "tasks", "locks"):
        (data / name).mkdir()
    configuration = layout.conf / "glance-api.conf"
    program = VENV / "bin" / "glance-manage"
    run("making Glance's database", [program, "--config-file", configuration, "db_sync"])


def _prepare_keystone(layout: Layout, settings: Settings, data: Path) -> None:
    del data
    first = ["keystone-manage", "--config-file", str(layout.conf / "keystone.conf")]
    owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    bootstrap = ["bootstrap", "--bootstrap-region-id", REGION]
    for interface in ("public", "internal", "admin"):
        bootstrap += [f"--bootstrap-{interface}-url", urls(settings)["identity"]]
    commands = [["fernet_setup", *owner], ["credential_setup", *owner], ["db_sync"], bootstrap]
    words = [json.dumps([*first, *command]) for command in commands]
    run(
        "making Keystone's keys and database",
        [PYTHON, INSIDE / "manage.py", "keystone.cmd.manage", *words],
        {"OS_BOOTSTRAP_PASSWORD": layout.read_secrets()["admin"]},
    )
