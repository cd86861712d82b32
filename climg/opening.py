"""From a target to an image service that can be asked."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import typer

from climg.cloud import ImageService, connect
from climg.errors import WrongUsage
from climg.progress import Progress
from climg.registry import RegistryService, reach
from climg.target import Cloud, Registry


@contextmanager
def opened(target: Registry | Cloud) -> Iterator[ImageService]:
    """Yield the service; how long lists get on is told meanwhile, on a terminal."""
    with (
        Progress() as progress,
        closing(connect(target, _password(target), progress)) as service,
    ):
        yield service


@contextmanager
def opened_registry(target: Registry | Cloud) -> Iterator[RegistryService]:
    """Yield the registry itself, for what the image service has no words for."""
    with closing(reach(target, _password(target))) as service:
        yield service


def _password(target: Registry | Cloud) -> str | None:
    """BERTH_PASSWORD, or asked for; None where nobody signs in."""
    if isinstance(target, Cloud) or target.user is None:
        return None
    parts = urlsplit(target.url)
    if parts.scheme == "http" and not target.is_near:
        typer.echo(
            f"climg: warning, the password goes unencrypted to {parts.hostname}; say https://",
            err=True,
        )
    password = os.environ.get("BERTH_PASSWORD")
    if password:
        return password
    if not sys.stdin.isatty():
        raise WrongUsage(f"{target.user} has no password here: set BERTH_PASSWORD")
    return str(typer.prompt(f"Password of {target.user}", hide_input=True, err=True))
