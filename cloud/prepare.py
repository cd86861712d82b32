"""What must be there before the services start for the first time: databases, keys, rings."""

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cloud.accounts import REGION
from cloud.install import STAMP
from cloud.layout import VENV, CloudError, Layout, Settings
from cloud.processes import run
from cloud.render import urls
from cloud.services import INSIDE, PYTHON


def prepare(layout: Layout, settings: Settings) -> None:
    """Make what is absent, and after an upgrade bring up to date what is there; side by side."""
    steps: dict[str, Callable[[Path], None]] = {
        "swift": lambda data: _prepare_swift(layout, settings, data),
        "glance": lambda data: _prepare_glance(layout, data),
        "keystone": lambda _: _prepare_keystone(layout, settings),
    }
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(_once, layout.data / name, make) for name, make in steps.items()]
    for future in futures:
        future.result()


def _once(data: Path, make: Callable[[Path], None]) -> None:
    """Let *make* fill *data*, unless it did so with the programs that are installed now."""
    done = data.with_name(f"{data.name}.done")
    wanted = STAMP.read_text("utf-8")
    if done.is_file() and done.read_text("utf-8") == wanted:
        return
    if not done.is_file():
        shutil.rmtree(data, ignore_errors=True)  # a run that broke off may have left something
    data.mkdir(exist_ok=True)
    make(data)
    done.write_text(wanted, "utf-8")


def _prepare_swift(layout: Layout, settings: Settings, data: Path) -> None:
    disk = data / "disk"
    disk.mkdir(exist_ok=True)
    try:
        os.setxattr(disk, "user.berth", b"1")
    except OSError as error:
        raise CloudError(f"Swift needs extended attributes, and {disk} has none: {error}") from None
    ports = settings.ports
    pairs = [f"{name}={getattr(ports, name)}" for name in ("account", "container", "object")]
    run("making Swift's rings", [PYTHON, INSIDE / "rings.py", layout.conf, *pairs])


def _prepare_glance(layout: Layout, data: Path) -> None:
    for name in ("images", "staging", "tasks", "locks"):
        (data / name).mkdir(exist_ok=True)
    configuration = layout.conf / "glance-api.conf"
    program = VENV / "bin" / "glance-manage"
    run("making Glance's database", [program, "--config-file", configuration, "db_sync"])


def _prepare_keystone(layout: Layout, settings: Settings) -> None:
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
