"""Passwords become hashes here, before anything of them is kept (crypt(3), SHA-512)."""

import ctypes
import hmac
import re
import secrets
import string
from typing import Final

_METHOD: Final = "$6$rounds=100000$"
"""Known to the C libraries of nearly all images, yescrypt is not."""
PASSWORD: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]{8,128}")
"""What may be one, as in a set document."""
_LETTERS: Final = f"./{string.ascii_letters}{string.digits}"


def hashed(password: str) -> str:
    """*password* as crypt(5) has it, with a salt of its own."""
    salt = "".join(secrets.choice(_LETTERS) for _ in range(16))
    return _crypt(password, f"{_METHOD}{salt}")


def is_hash_of(kept: str, password: str) -> bool:
    """Whether *kept* is the hash of *password* as of `hashed`."""
    return kept.startswith(_METHOD) and hmac.compare_digest(_crypt(password, kept), kept)


def _crypt(password: str, setting: str) -> str:
    library = ctypes.CDLL("libcrypt.so.1", use_errno=True)
    library.crypt_rn.restype = ctypes.c_char_p
    room = ctypes.create_string_buffer(32768)  # crypt_rn(3): CRYPT_OUTPUT_SIZE and its own needs
    made = library.crypt_rn(password.encode(), setting.encode(), room, len(room))
    if made is None:
        raise OSError(ctypes.get_errno(), "crypt(3) makes no hash")
    text: str = made.decode("ascii")
    return text
