"""The registry's commands: serve, rebuild, check, passwd."""

import asyncio
import os
import shlex
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import bcrypt
import typer
import uvicorn
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from registry import (
    cli_backup,
    cli_doctor,
    cli_fsck,
    cli_garbage,
    cli_images,
    cli_quota,
    metrics,
    wiring,
)
from registry.cli_stores import ConfigFile, fail, shown
from registry.config import Config
from registry.oci.errors import RegistryError
from registry.workers import Workers
from settings.reading import ConfigError
from settings.writing import toml

app = typer.Typer(
    help="Berth: an OCI registry made of Keystone, Glance and Swift, or of one directory.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
cli_garbage.add_to(app)
cli_images.add_to(app)
cli_quota.add_to(app)
cli_fsck.add_to(app)
cli_doctor.add_to(app)
cli_backup.add_to(app)


@app.command()
def serve(
    config: ConfigFile = None,
    listen: Annotated[
        str | None, typer.Option(help="Address and port.", metavar="ADDRESS:PORT")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Directory of blobs, journal and ledger.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
) -> None:
    """Serve the registry until told to stop (SIGTERM or Ctrl-C; uploads in flight may finish).

    Examples:
        berth serve

        berth serve --config /etc/berth.toml

        berth serve --listen 127.0.0.1:5001 --data /srv/berth --workers 4

    """
    # Worker processes load the configuration by themselves, so what was said here goes to them
    # as variables.
    given = {"HTTP_LISTEN": listen, "STORAGE_DIRECTORY": data, "HTTP_WORKERS": workers}
    for name, value in given.items():
        if value is not None:
            os.environ[f"BERTH_{name}"] = str(value)
    settings = wiring.loaded(config)
    try:
        asyncio.run(wiring.prepare(settings))
    except RegistryError as error:
        fail(error.reason)
    except ConfigError as error:
        fail(str(error), status=2)
    listener = _bind(settings)
    server = wiring.server_config(settings)
    _greet(settings)
    if settings.http.workers == 1:
        uvicorn.Server(server).run(sockets=[listener])
    else:
        with tempfile.TemporaryDirectory(prefix="berth-metrics-") as figures:
            os.environ[metrics.DIRECTORY_VARIABLE] = figures
            Workers(server, [listener]).run()


def _bind(settings: Config) -> socket.socket:
    host, port = settings.http.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:  # a name may be none that can be looked up
        why = error.strerror if isinstance(error, OSError) else "that is no name of a host"
        fail(
            f"cannot listen on {settings.http.listen}: {why}; "
            "name another with --listen or http.listen"
        )
    listener.set_inheritable(True)
    return listener


def _greet(settings: Config) -> None:
    scheme = "https" if settings.http.tls_certificate else "http"
    where = settings.http.listen
    # In a cloud the default project need not exist.
    project = "PROJECT" if settings.auth.kind == "keystone" else settings.default_project
    storage = settings.storage
    data = str(storage.directory.absolute())
    if storage.kind == "swift":
        data = f"Swift, containers {storage.prefix}-…"
    lines = [
        f"Berth listens on {scheme}://{where}, data in {data}",
        f"  push:   docker tag IMAGE {where}/{project}/IMAGE",
        f"          docker push {where}/{project}/IMAGE",
        f"  pull:   docker pull {where}/{project}/IMAGE",
        f"  chain:  {_climg()} --url {scheme}://{where} image-list --history",
    ]
    if settings.auth.kind != "none":
        lines.insert(1, f"  login:  docker login {where}")
    sys.stderr.write("\n".join(lines) + "\n")


def _climg() -> str:
    """How the shell finds it: by its name, or else beside this program."""
    beside = Path(sys.argv[0]).with_name("climg")
    return (
        shlex.quote(str(beside)) if shutil.which("climg") is None and beside.is_file() else "climg"
    )


@app.command()
def rebuild(config: ConfigFile = None) -> None:
    """Make the ledger anew out of the journal that lies with the bytes.

    Needed after the database was lost, or restored to an earlier state. May be broken off and
    repeated. A running server answers 503 for what it does not know until this is done.
    """
    settings = wiring.loaded(config)
    columns = (TextColumn("rebuilding"), BarColumn(), MofNCompleteColumn(), TextColumn("lines"))
    try:
        with shown(*columns) as progress:
            task = progress.add_task("lines", total=None)

            def advance(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            count = asyncio.run(wiring.rebuild(settings, advance))
    except RegistryError as error:
        fail(error.reason)
    typer.echo(f"rebuilt: {count} {'line' if count == 1 else 'lines'} of the journal")


@app.command()
def compact(config: ConfigFile = None) -> None:
    """Fold the journal: what was undone since leaves it, and it makes the same names as before.

    A server does so by itself once there is much; this is for before a backup. Servers may run.
    """
    settings = wiring.loaded(config)
    try:
        count = asyncio.run(wiring.compact(settings))
    except RegistryError as error:
        fail(error.reason)
    typer.echo("nothing to fold" if count is None else f"folded: {count} lines are left")


@app.command("check-config")
def check_config(config: ConfigFile = None) -> None:
    """Read the configuration, and print all that it comes to as TOML.

    What is wrong in it is told by its key. Whether what it names is well: berth doctor.
    """
    settings = wiring.loaded(config)
    typer.echo(toml(settings), nl=False)


@app.command()
def passwd(user: str) -> None:
    """Print a line for the htpasswd file; the password is asked for, or read from a pipe.

    Example:
        berth passwd alice >> htpasswd

    """
    if not user or ":" in user or not user.isprintable():
        fail("a user's name has no colon and no control characters, and is not empty", status=2)
    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    secret = str(password).encode()
    if not 1 <= len(secret) <= 72:
        fail("a password has 1 to 72 bytes, as bcrypt reads no more", status=2)
    typer.echo(f"{user}:{bcrypt.hashpw(secret, bcrypt.gensalt()).decode()}")
