"""Secrets that travel with a client who must not read them: AES-GCM by a key of the registry's."""

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Seal:
    """Closes and opens; *place* binds what is sealed to where it was put."""

    def __init__(self, key: bytes) -> None:
        """*key*: 32 bytes, used for nothing else."""
        self._cipher = AESGCM(key)

    def close(self, secret: str, place: str) -> str:
        """*secret*, so that only ``open`` reads it, in the same place."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        content = nonce + self._cipher.encrypt(nonce, secret.encode(), place.encode())
        return base64.urlsafe_b64encode(content).decode()

    def open(self, sealed: str, place: str) -> str:
        """What was sealed; raises ValueError for anything else, or if it was put elsewhere."""
        try:
            content = base64.urlsafe_b64decode(sealed)
            nonce, secret = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, secret, place.encode()).decode()
        except (ValueError, InvalidTag) as error:
            raise ValueError("not sealed here") from error
