"""How addresses, URLs and names in a configuration are written (pure); ValueError names the key."""

import ipaddress
import re
from collections.abc import Iterable

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from registry.oci.errors import NameInvalid
from registry.oci.names import parse_repository

_HOST = r"[^\s\0\[\]]+|\[[\w:.%]+\]"
_PORT = r"\d{1,5}"
_HTTP_URL = r'https?://[^\s\0"\\/?#]+(/[^\s\0"\\?#]*)?'


def read_address(text: str) -> tuple[str, int]:
    """Host and port of http.listen."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch(_HOST, host) or not re.fullmatch(_PORT, port) or int(port) > 65535:
        raise ValueError("http.listen is written ADDRESS:PORT, as in 127.0.0.1:5000")
    return host.strip("[]"), int(port)


def hold_public_url(url: str | None) -> None:
    """It stands before paths in what clients are told."""
    if url is not None and not re.fullmatch(_HTTP_URL, url):
        raise ValueError("http.public_url is written like https://registry.example.org")


def hold_networks(key: str, networks: Iterable[str]) -> None:
    """Addresses and networks, no names: a name would be nobody's address."""
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error


def hold_ledger_url(url: str) -> None:
    """One of the two databases that a ledger may lie in."""
    if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise ValueError("ledger.url must begin with sqlite:/// or postgresql+psycopg://")
    try:
        make_url(url)
        good = "\0" not in url
    except (ArgumentError, ValueError):  # they quote it, and there may be a password in it
        good = False
    if not good:
        raise ValueError(
            "ledger.url is no URL of a database, such as sqlite:////path/ledger.db"
        ) from None


def hold_service(name: str) -> None:
    """It stands in tokens, and in quotes in headers."""
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", name):
        raise ValueError("auth.service is a name in ASCII, as in berth")


def hold_project(name: str) -> None:
    """One component of a repository's name."""
    try:
        parse_repository(f"{name}/a", default_project="")
    except NameInvalid as error:
        raise ValueError(f"default_project: {error.detail}") from error
    if "/" in name:
        raise ValueError("default_project is one project: it has no /")
