"""Records of a pax extended header: each a length, a key and a value."""

from unpacker.refusal import Refused, shown


def read_records(content: bytes) -> dict[bytes, bytes]:
    """Read them; raise Refused where they are broken, or one stands there twice."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        space = content.find(b" ", at, at + 12)
        digits = content[at:space] if space > 0 else b""
        if not digits.isdigit():
            raise Refused("an extended header is broken")
        end = at + int(digits)
        if end > len(content) or end <= space + 2 or content[end - 1 : end] != b"\n":
            raise Refused("an extended header is broken")
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise Refused("an extended header is broken")
        if key in records:
            raise Refused(f"an extended header has {shown(key)} twice; readers differ on it")
        if b"\0" in key or (b"\0" in value and not key.startswith(b"SCHILY.xattr.")):
            raise Refused(f"{shown(key)} in an extended header has a NUL in it")
        records[key] = value
        at = end
    return records
