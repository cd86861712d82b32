"""Range and Content-Range, read (RFC 9110, 14; distribution-spec, "Pushing a blob in chunks")."""

import re

from registry.oci.errors import BlobUploadInvalid, RangeNotSatisfiable

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,19})-(\d{1,19})(?:/(?:\d{1,19}|\*))?", re.ASCII)


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The bytes asked for, as (start, stop) with *stop* exclusive; None: the whole.

    Several ranges, another unit or nonsense are ignored, as RFC 9110 allows. Raises
    RangeNotSatisfiable where the range holds no byte of *size*, or ends before it begins.
    """
    if header is None:
        return None
    match = _RANGE.fullmatch(header.strip().replace(" ", ""))
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        start, stop = max(0, size - int(match[2])), size
    else:
        start = int(match[1])
        stop = min(int(match[2]) + 1, size) if match[2] else size
    if start >= stop:
        raise RangeNotSatisfiable(
            f"the blob has {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return start, stop


def parse_content_range(header: str | None, length: int | None) -> int | None:
    """Where a chunk starts, in bytes; None where the client does not say.

    Raises BlobUploadInvalid for nonsense, or a range that is not as long as the body's *length*.
    """
    if header is None:
        return None
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None:
        raise BlobUploadInvalid("Content-Range is written <first byte>-<last byte>, as in 0-1023")
    first, last = int(match[1]), int(match[2])
    if last < first or (length is not None and last - first + 1 != length):
        raise BlobUploadInvalid(f"Content-Range {first}-{last} does not fit a body of {length}")
    return first
