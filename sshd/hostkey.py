"""A set's host key: made once, and written as each of the two servers reads it."""

import struct
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

_KIND: Final = b"ssh-ed25519"


def make() -> bytes:
    """A new private key, as OpenSSH writes one."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public(private: bytes) -> str:
    """The public key's line, as in known_hosts behind the host's name."""
    return _load(private).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def for_dropbear(private: bytes) -> bytes:
    """The same key as dropbear reads it: its kind, then the seed with the public key behind it."""
    key = _load(private)
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    known = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return _string(_KIND) + _string(seed + known)


def kept(path: Path) -> tuple[str, ...]:
    """The public keys of the private one that lies at *path*; none where there is none yet."""
    return (public(path.read_bytes()),) if path.exists() else ()


def _load(private: bytes) -> Ed25519PrivateKey:
    key = load_ssh_private_key(private, None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def _string(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text
