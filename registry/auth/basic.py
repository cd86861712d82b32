"""Basic credentials (RFC 7617), read (pure)."""

import base64
import binascii

from registry.oci.errors import Unauthorized


def read(value: str) -> tuple[str, str]:
    """User and password of Basic credentials; raises Unauthorized where they are none."""
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Unauthorized("Basic credentials are base64 of user:password") from None
    if not colon or not user:
        raise Unauthorized("Basic credentials are base64 of user:password")
    return user, password
