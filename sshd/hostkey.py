"""A set's host key: made once, and written as each of the two servers reads it."""

import struct
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)


class Damaged(Exception):
    """What lies in a host key's place is none."""


_KIND: Final = b"ssh-ed25519"


def make() -> bytes:
    """A new private key, as OpenSSH writes one."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public(private: bytes) -> str:
    """The public key's line, as in known_hosts behind the host's name. Raises Damaged."""
    return _load(private).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def for_dropbear(private: bytes) -> bytes:
    """The same key as dropbear reads it: its kind, then the seed with the public key behind it.

    Raises Damaged.
    """
    key = _load(private)
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    known = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return _string(_KIND) + _string(seed + known)


def kept(path: Path) -> tuple[str, ...]:
    """The public keys of the private one that lies at *path*; none where it does not, or is none.

    A set's status is told all the same; that nobody is let in has its reason elsewhere.
    """
    try:
        return (public(path.read_bytes()),)
    except (FileNotFoundError, Damaged):
        return ()


def _load(private: bytes) -> Ed25519PrivateKey:
    try:
        key = load_ssh_private_key(private, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Damaged(str(error)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Damaged("a key of another kind")
    return key


def _string(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text
