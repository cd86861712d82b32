"""Layers that somebody made to do harm, each with what the refusal must say; and odd ones."""

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping

import zstandard

from support.hostimages import files, member, tar_of

DIR, LNK, SYM, CHR, BLK, FIFO = b"5", b"1", b"2", b"3", b"4", b"6"
REG = b"0"


def header(name: bytes, kind: bytes = REG, size: bytes = b"0000000", **fields: bytes) -> bytes:
    """One header, written field by field; *fields*: mode, uid, gid, mtime, link, magic, prefix."""
    block = bytearray(512)

    def put(at: int, length: int, value: bytes) -> None:
        block[at : at + length] = value[:length].ljust(length, b"\0")

    put(0, 100, name)
    put(100, 8, fields.get("mode", b"0000644"))
    put(108, 8, fields.get("uid", b"0000000"))
    put(116, 8, fields.get("gid", b"0000000"))
    put(124, 12, size)
    put(136, 12, fields.get("mtime", b"0"))
    put(156, 1, kind)
    put(157, 100, fields.get("link", b""))
    put(257, 8, fields.get("magic", b"ustar\x0000"))
    put(345, 155, fields.get("prefix", b""))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


END = bytes(1024)


def record(key: bytes, value: bytes) -> bytes:
    """One record of a pax header."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest


def pax(*records: bytes) -> bytes:
    """A pax header of records."""
    content = b"".join(records)
    return header(b"PaxHeaders/x", b"x", b"%o" % len(content)) + padded(content)


def with_xattr(key: bytes, value: bytes, name: bytes = b"etc/file") -> bytes:
    return pax(record(b"SCHILY.xattr." + key, value)) + header(name) + END


def bomb(megabytes: int) -> bytes:
    """A file of zeros, whose gzip is a thousandth of it."""
    size = megabytes << 20
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as out:
        out.write(header(b"zeros", REG, b"%o" % size))
        for _ in range(megabytes):
            out.write(bytes(1 << 20))
        out.write(END)
    return packed.getvalue()


def many(count: int) -> bytes:
    """Empty files."""
    return b"".join(header(b"f%d" % n) for n in range(count)) + END


def old_sparse(pieces: list[tuple[int, int]], size: int, content: bytes) -> bytes:
    """GNU's old form of a sparse file."""
    block = bytearray(header(b"sparse", b"S", b"%o" % len(content), magic=b"ustar  \0"))
    at = 386
    for offset, length in pieces[:4]:
        block[at : at + 24] = b"%011o\0" % offset + b"%011o\0" % length
        at += 24
    block[483:495] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + padded(content) + END


def map_sparse(text: bytes, size: int, content: bytes) -> bytes:
    """GNU's form 1.0 of a sparse file."""
    stored = padded(text) + content
    records = [
        record(b"GNU.sparse.major", b"1"),
        record(b"GNU.sparse.minor", b"0"),
        record(b"GNU.sparse.name", b"sparse"),
        record(b"GNU.sparse.realsize", b"%d" % size),
    ]
    head = header(b"GNUSparseFile.0/sparse", REG, b"%o" % len(stored))
    return pax(*records) + head + padded(stored) + END


def _skewed() -> bytes:
    """A header whose sum is another's."""
    block = bytearray(header(b"etc/file"))
    block[0] ^= 1
    return bytes(block) + END


_GOOD = files({"etc/issue": b"fine\n"})
_PACKED = gzip.compress(_GOOD, mtime=0)

REFUSED: Mapping[str, tuple[bytes, str]] = {
    "a name that climbs out": (tar_of(member("../outside")), "leads out of the layer"),
    "a name that climbs in the middle": (tar_of(member("a/../../outside")), "leads out"),
    "a whiteout that climbs": (tar_of(member("../.wh.x")), "leads out"),
    "a whiteout of the parent": (header(b"a/.wh...") + END, "hides nothing"),
    "a whiteout of nothing": (header(b"a/.wh.") + END, "hides nothing"),
    "a whiteout of a whiteout": (header(b"a/.wh..wh.b") + END, "hides nothing"),
    "a hard link out": (tar_of(member("x", LNK, linkname="../../etc/passwd")), "leads out"),
    "a hard link to the host": (tar_of(member("x", LNK, linkname="/etc/passwd")), "not in this"),
    "a hard link to a directory": (
        tar_of(member("d", DIR), member("x", LNK, linkname="d")),
        "to what is no file",
    ),
    "a hard link to a whiteout": (
        tar_of(member(".wh.d"), member("x", LNK, linkname="d")),
        "to what is no file",
    ),
    "a hard link to itself": (
        tar_of(member("x"), member("x", LNK, linkname="x")),
        "a link to itself",
    ),
    "a file below a dead symbolic link": (
        tar_of(member("d", SYM, linkname="/nowhere/at/all"), member("d/x")),
        "leads nowhere",
    ),
    "a file below a loop": (
        tar_of(member("d", SYM, linkname="d"), member("d/x")),
        "leads nowhere",
    ),
    "a file below a file": (tar_of(member("d"), member("d/x")), "is no directory"),
    "a file as the root": (header(b"./") + END, "only be a directory"),
    "a whiteout's own device": (tar_of(member("x", CHR)), "character device 0:0"),
    "an overlay's own xattr": (with_xattr(b"trusted.overlay.opaque", b"y"), "only a host may set"),
    "a redirect": (with_xattr(b"trusted.overlay.redirect", b"/etc"), "only a host may set"),
    "a huge xattr": (with_xattr(b"user.x", b"x" * 70_000), "cannot be kept"),
    "an xattr of no kind": (with_xattr(b"nothing.x", b"x"), "cannot be kept"),
    "a broken capability": (with_xattr(b"security.capability", b"x"), "cannot be kept"),
    "a kind that no layer has": (header(b"x", b"D") + END, "which no layer has"),
    "a continued volume": (header(b"x", b"M") + END, "which no layer has"),
    "a negative size": (header(b"x", REG, b"\xff" * 12) + END, "negative"),
    "a size beyond all": (header(b"x", REG, b"\x80" + b"\x7f" * 11) + END, "too large"),
    "a size over the limit": (header(b"x", REG, b"77777777777") + END, "over the limit"),
    "a size that is no number": (header(b"x", REG, b"9") + END, "no octal number"),
    "an owner beyond all": (pax(record(b"uid", b"4294967295")) + header(b"x") + END, "is no uid"),
    "an owner below zero": (pax(record(b"uid", b"-1")) + header(b"x") + END, "is no number"),
    "a time that is none": (pax(record(b"mtime", b"1.x")) + header(b"x") + END, "is no time"),
    "another checksum": (_skewed(), "another checksum"),
    "no tar at all": (b"#!/bin/sh\nexit 0\n" * 100, "checksum"),
    "an end in a header": (header(b"x")[:300], "ends in the middle"),
    "an end in content": (header(b"x", REG, b"2000") + b"half", "ends in the middle"),
    "an end after an extension": (pax(record(b"path", b"x")) + END, "ends after an extended"),
    "an empty record among entries": (bytes(512) + header(b"x") + END, "readers differ"),
    "two extensions for one": (
        pax(record(b"path", b"a")) + pax(record(b"path", b"b")) + header(b"x") + END,
        "two extended headers",
    ),
    "one key twice": (
        pax(record(b"path", b"a"), record(b"path", b"b")) + header(b"x") + END,
        "twice",
    ),
    "a record of the wrong length": (
        header(b"h", b"x", b"12") + padded(b"99 path=x\n") + header(b"x") + END,
        "broken",
    ),
    "a record without a length": (
        header(b"h", b"x", b"12") + padded(b"path=xxxx\n") + header(b"x") + END,
        "broken",
    ),
    "a NUL in a name": (pax(record(b"path", b"a\0b")) + header(b"x") + END, "NUL"),
    "a huge extension": (header(b"h", b"x", b"77777777") + END, "is more than"),
    "a huge long name": (header(b"h", b"L", b"77777777") + END, "is more than"),
    "a component that is too long": (
        pax(record(b"path", b"x" * 256)) + header(b"x") + END,
        "longer than a path",
    ),
    "a path that is too long": (
        pax(record(b"path", b"/".join([b"x" * 200] * 25))) + header(b"x") + END,
        "longer than a path",
    ),
    "a path that is too deep": (
        pax(record(b"path", b"/".join([b"d"] * 101))) + header(b"x") + END,
        "101 deep",
    ),
    "too many entries": (many(1001), "more than 1000 entries"),
    "a bomb": (bomb(101), "over the limit"),
    "too many bytes in all": (
        (header(b"x", REG, b"%o" % (60 << 20)) + bytes(60 << 20)) * 2 + END,
        "more than 104857600 bytes",
    ),
    "a sparse file without end": (
        map_sparse(b"1\n0\n1\n", 1 << 50, b"x"),
        "over the limit",
    ),
    "pieces that overlap": (map_sparse(b"2\n0\n2\n1\n2\n", 10, b"xxxx"), "overlap"),
    "pieces beyond the end": (map_sparse(b"1\n9\n4\n", 10, b"xxxx"), "do not fit"),
    "pieces that are not stored": (map_sparse(b"1\n0\n5\n", 10, b"x"), "do not fit"),
    "a map without end": (map_sparse(b"9" * 600, 10, b"x"), "broken map"),
    "a map of millions": (map_sparse(b"99999999\n", 10, b"x"), "more than"),
    "old pieces that overlap": (old_sparse([(0, 3), (2, 1)], 10, b"xxxx"), "overlap"),
    "sparse pieces in an unknown form": (
        pax(record(b"GNU.sparse.size", b"9"), record(b"GNU.sparse.major", b"7"))
        + header(b"x")
        + END,
        "form that is not known",
    ),
    "a truncated gzip": (_PACKED[: len(_PACKED) // 2], "ends early"),
    "a gzip without its end": (_PACKED[:-4], "ends early"),
    "a gzip with a wrong sum": (
        _PACKED[:-8] + struct.pack("<L", 1) + _PACKED[-4:],
        "gzip data is broken",
    ),
    "garbage after a gzip": (_PACKED + b"garbage", "followed by something else"),
    "a truncated zstd": (zstandard.compress(_GOOD)[:-9], "zstd data ends early"),
    "garbage after a zstd": (zstandard.compress(_GOOD) + b"garbage", "zstd data is broken"),
    "a zstd bomb": (
        zstandard.compress((header(b"x", REG, b"%o" % (60 << 20)) + bytes(60 << 20)) * 2),
        "more than 104857600 bytes",
    ),
    "a zstd that wants all memory": (
        b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00",
        "zstd",
    ),
}
"""Name -> the bytes and what is said. Limits: 1000 entries, 100 MiB, 100 deep."""


def odd() -> bytes:
    """What readers meet in the wild, all in one layer: nothing of it is wrong."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(member("./", DIR, mode=0o750, uid=3, gid=4, mtime=1_000_000_000))
        tar.addfile(member("n" * 150 + "/" + "m" * 120, REG, mode=0o4755))
        tar.addfile(member("long-link", SYM, linkname="t" * 300))
        tar.addfile(member("/absolute", uid=2**21, gid=2**22))
        tar.addfile(member("pipe", FIFO, mode=0o600))
        tar.addfile(member("disk", BLK, devmajor=8, devminor=1, mode=0o660, gid=6))
        tar.addfile(member("sticky", DIR, mode=0o1777))
        tar.addfile(member("link", SYM, linkname="/sticky"))
        tar.addfile(member("link/through"))
        tar.addfile(member("twice"))
        tar.addfile(member("twice", SYM, linkname="/etc/passwd"))
        tar.addfile(member("twice", size=3), io.BytesIO(b"two"))
        tar.addfile(member("hard", LNK, linkname="twice"))
        tar.addfile(member("was-a-directory", DIR))
        tar.addfile(member("was-a-directory/x"))
        tar.addfile(member("was-a-directory"))
    return packed.getvalue()
