"""A layer's tar out of its compressed bytes: gzip, zstd or plain, told apart by how they begin.

A thread of its own inflates and hashes (both without Python's lock), some blocks ahead of whoever
writes files.
"""

import hashlib
import queue
import threading
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

import zstandard
from isal import isal_zlib
from isal.igzip_lib import IsalError

from unpacker.refusal import Refused

BLOCK: Final = 1 << 20
_MORSEL: Final = 1 << 14
_AHEAD = 6
_BROKEN_GZIP = cast("type[Exception]", IsalError)
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_WINDOW = 1 << 27
"""Bytes of memory for zstd, as its own programs allow by default."""


def inflated(source: BinaryIO) -> Iterator[bytes]:
    """Yield the tar in blocks of at most BLOCK bytes; raise Refused where it is broken."""
    first = _read(source)
    if first[:2] == _GZIP:
        return _gunzipped(first, source)
    if first[:4] == _ZSTD:
        return _unzstd(first, source)
    return _plain(first, source)


def _read(source: BinaryIO) -> bytes:
    """Up to BLOCK bytes; fewer only at the end, so that a magic number is never cut in two."""
    return source.read(BLOCK)


def _plain(first: bytes, source: BinaryIO) -> Iterator[bytes]:
    while first:
        yield first
        first = _read(source)


def _gunzipped(data: bytes, source: BinaryIO) -> Iterator[bytes]:
    """One gzip member after the other, as parallel compressors write them."""
    try:
        while data:
            if not _GZIP.startswith(data[:2]):
                raise Refused("the gzip data is followed by something else")
            member = isal_zlib.decompressobj(wbits=31)
            while not member.eof:
                yield member.decompress(data, BLOCK)
                data = member.unconsumed_tail
                if not data and not member.eof:
                    data = _read(source)
                    if not data:
                        yield from _rest(member)
            data = member.unused_data or _read(source)
    except _BROKEN_GZIP as error:
        raise Refused(f"the gzip data is broken: {error}") from None


def _rest(member: "isal_zlib.Decompress") -> Iterator[bytes]:
    """What the inflater still holds when its input has ended."""
    while not member.eof:
        block = member.decompress(b"", BLOCK)
        if not block:
            raise Refused("the gzip data ends early")
        yield block


def _unzstd(first: bytes, source: BinaryIO) -> Iterator[bytes]:
    """One frame after the other; little by little, since a little can become very much."""
    inflater = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    frame: zstandard.ZstdDecompressionObj | None = None
    try:
        for rest in _morsels(first, source):
            morsel = rest
            while morsel:
                frame = frame or inflater.decompressobj()
                yield frame.decompress(morsel)
                morsel = frame.unused_data
                if frame.eof:
                    frame = None
    except zstandard.ZstdError as error:
        raise Refused(f"the zstd data is broken: {error}") from None
    if frame is not None:
        raise Refused("the zstd data ends early")


def _morsels(data: bytes, source: BinaryIO) -> Iterator[bytes]:
    while data:
        for at in range(0, len(data), _MORSEL):
            yield data[at : at + _MORSEL]
        data = _read(source)


class Blocks:
    """The tar, block by block; its digest once all of it was taken."""

    def __init__(self, source: BinaryIO, algorithm: str) -> None:
        self._source = source
        self._hasher = hashlib.new(algorithm)
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(_AHEAD)
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to inflate."""
        self._thread.start()

    def take(self) -> bytes:
        """The next block; none at the end. Raises Refused where the data is broken."""
        if self._ended:
            return b""
        block = self._queue.get()
        if isinstance(block, BaseException):
            raise block
        self._ended = not block
        return block

    def hexdigest(self) -> str:
        """Of the whole tar, once *take* has answered none."""
        self._thread.join()
        return self._hasher.hexdigest()

    def _run(self) -> None:
        try:
            for block in inflated(self._source):
                if block:
                    self._hasher.update(block)
                    self._queue.put(block)
            self._queue.put(b"")
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._queue.put(error)
