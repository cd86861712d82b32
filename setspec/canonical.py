"""One spelling of a value, and its fingerprint."""

import hashlib
import json

from setspec.normal import SetSpec
from setspec.shape import dump
from setspec.strict import JsonObject


def canonical(value: JsonObject) -> bytes:
    """*value* as JSON in UTF-8: names in the order of their code points, no spaces.

    Values of normal forms hold no fractions, so this is RFC 8785's spelling too, as long as names
    are in the Basic Multilingual Plane.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest(value: JsonObject) -> str:
    """``sha256:`` and the digest of *value*'s canonical JSON."""
    return f"sha256:{hashlib.sha256(canonical(value)).hexdigest()}"


def fingerprint(spec: SetSpec) -> str:
    """The digest of *spec* as JSON: equal for equal sets."""
    return digest(dump(spec))
