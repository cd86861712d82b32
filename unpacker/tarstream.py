"""Tar, read from a stream: ustar, pax and GNU's forms, as Go's archive/tar reads them for others.

Strict where readers differ: what one would take for a file and another for none is refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from unpacker.pax import read_records
from unpacker.refusal import Refused, shown

RECORD: Final = 512
_ZEROS = bytes(RECORD)
_EXTENDED_LIMIT = 1 << 20
"""Bytes of one pax header or long name."""
_SPARSE_LIMIT = 1 << 20
"""Pieces of one sparse file."""

REGULAR, LINK, SYMLINK, CHAR, BLOCK, DIRECTORY, FIFO = (b"0", b"1", b"2", b"3", b"4", b"5", b"6")
_KINDS = {
    b"\0": REGULAR, b"0": REGULAR, b"7": REGULAR, b"S": REGULAR,
    b"1": LINK, b"2": SYMLINK, b"3": CHAR, b"4": BLOCK, b"5": DIRECTORY, b"6": FIFO,
}  # fmt: skip


@dataclass(slots=True)
class Entry:
    """One entry; *stored* bytes of content follow it in the stream."""

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    """Bytes that the file has."""
    stored: int
    """Bytes that the stream has of it; fewer for a sparse file."""
    mtime: int
    """Nanoseconds since 1970, UTC."""
    target: bytes
    device: tuple[int, int]
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    pieces: list[tuple[int, int]] | None = None
    """Offset and length of what a sparse file holds; None: it is whole."""
    mapped: bool = False
    """Whether the map of its pieces stands before its content."""


class Tar:
    """A tar out of blocks of bytes; its entries in order, each with its content."""

    def __init__(self, take: Callable[[], bytes]) -> None:
        self._take = take
        self._block = memoryview(b"")
        self._left = 0
        """Bytes of the present entry's content and padding that nobody has read."""
        self._padding = 0

    def entries(self) -> Iterator[Entry]:
        """Each entry; what of its content was not read is passed over."""
        while True:
            self._skip(self._left + self._padding)
            self._left = self._padding = 0
            header = self._header()
            if header is None:
                break
            entry = self._entry(header)
            if entry is None:
                break
            self._left = entry.stored
            self._padding = -entry.stored % RECORD
            if entry.mapped:
                self._read_sparse_map(entry)
            yield entry
        while self._take():  # padding after the end, which is in the digest
            pass

    def content(self) -> Iterator[memoryview]:
        """The present entry's content, in pieces as large as they come."""
        while self._left:
            piece = self._some(self._left)
            self._left -= len(piece)
            yield piece

    def _header(self) -> bytes | None:
        """The next header; None at the end."""
        record = self._exact(RECORD, at_end=True)
        if not record:
            return None
        if record == _ZEROS:
            if self._exact(RECORD, at_end=True) not in {b"", _ZEROS}:
                raise Refused("one empty record stands among the entries; readers differ on it")
            return None
        _check_sum(record)
        return record

    def _entry(self, header: bytes) -> Entry | None:
        """The entry that begins with *header* and what extends it; None after a last comment."""
        records: dict[bytes, bytes] | None = None
        name = target = None
        while True:
            kind = header[156:157]
            if kind not in {b"x", b"g", b"L", b"K"}:
                break
            content = self._extension(header)
            if kind == b"x":
                if records is not None:
                    raise Refused("two extended headers stand before one entry")
                records = read_records(content)
            elif kind == b"L":
                name = content.split(b"\0", 1)[0]
            elif kind == b"K":
                target = content.split(b"\0", 1)[0]
            following = self._header()
            if following is None:
                if kind == b"g":
                    return None
                raise Refused("it ends after an extended header")
            header = following
        entry = read_header(header, name, target, records or {})
        if header[156:157] == b"S":
            self._read_old_sparse(header, entry)
        return entry

    def _extension(self, header: bytes) -> bytes:
        """What follows a header that extends the next one."""
        size = _number(header[124:136], "size")
        if size > _EXTENDED_LIMIT:
            raise Refused(f"an extended header of {size} bytes is more than {_EXTENDED_LIMIT}")
        content = self._exact(size)
        self._skip(-size % RECORD)
        return content

    def _read_old_sparse(self, header: bytes, entry: Entry) -> None:
        """GNU's old form: the map stands in the header and in records after it."""
        pieces: list[tuple[int, int]] = []
        table, more = header[386:482], header[482]
        entry.size = _number(header[483:495], "real size")
        while True:
            for at in range(0, len(table) - 23, 24):
                if table[at] == 0:
                    break
                offset = _number(table[at : at + 12], "offset")
                pieces.append((offset, _number(table[at + 12 : at + 24], "length")))
            if not more:
                break
            if len(pieces) > _SPARSE_LIMIT:
                raise Refused(f"{shown(entry.name)} has more than {_SPARSE_LIMIT} pieces")
            record = self._exact(RECORD)
            table, more = record[:504], record[504]
        _set_pieces(entry, pieces, entry.stored)

    def _read_sparse_map(self, entry: Entry) -> None:
        """GNU's form 1.0: the map stands as lines before the content."""
        text = b""
        numbers: list[int] = []
        wanted = 1
        while len(numbers) < wanted:
            line, newline, rest = text.partition(b"\n")
            if not newline:
                if len(text) > 32 or self._left < RECORD:
                    raise Refused(f"{shown(entry.name)} has a broken map of its pieces")
                text += self._exact(RECORD)
                self._left -= RECORD
                continue
            numbers.append(_decimal(line))
            text = rest
            wanted = 1 + 2 * numbers[0]
            if numbers[0] > _SPARSE_LIMIT:
                raise Refused(f"{shown(entry.name)} has more than {_SPARSE_LIMIT} pieces")
        pairs = numbers[1:]
        _set_pieces(entry, list(zip(pairs[::2], pairs[1::2], strict=True)), self._left)
        entry.stored = self._left

    def _exact(self, size: int, *, at_end: bool = False) -> bytes:
        """*size* bytes; none where the stream has ended and *at_end* says that it may."""
        block = self._block
        if len(block) >= size:
            self._block = block[size:]
            return bytes(block[:size])
        parts = bytearray(block)
        while len(parts) < size:
            taken = self._take()
            if not taken:
                self._block = memoryview(b"")
                if at_end and not parts:
                    return b""
                raise Refused("it ends in the middle of an entry")
            parts += taken
        self._block = memoryview(bytes(parts))[size:]
        return bytes(parts[:size])

    def _some(self, most: int) -> memoryview:
        """At most *most* bytes, at least one."""
        if not self._block:
            taken = self._take()
            if not taken:
                raise Refused("it ends in the middle of an entry")
            self._block = memoryview(taken)
        piece = self._block[:most]
        self._block = self._block[most:]
        return piece

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._some(size))


def read_header(
    header: bytes, name: bytes | None, target: bytes | None, records: dict[bytes, bytes]
) -> Entry:
    """One header with what extends it; raise Refused where it is no header of a layer."""
    posix = header[257:265] == b"ustar\x0000"
    if name is None:
        name = header[:100].split(b"\0", 1)[0]
        prefix = header[345:500].split(b"\0", 1)[0] if posix else b""
        if prefix:
            name = prefix + b"/" + name
    name = records.get(b"GNU.sparse.name") or records.get(b"path") or name
    if b"\0" in name:
        raise Refused(f"{shown(name)}: a name with a NUL in it")
    kind = _KINDS.get(header[156:157])
    if kind is None:
        raise Refused(f"{shown(name)} is of the kind {header[156:157]!r}, which no layer has")
    if header[156:157] == b"\0" and name.endswith(b"/"):
        kind = DIRECTORY
    if target is None:
        target = header[157:257].split(b"\0", 1)[0]
    target = records.get(b"linkpath") or target
    stored = _pax_number(records, b"size", header[124:136]) if kind == REGULAR else 0
    special = kind in {CHAR, BLOCK}
    entry = Entry(
        name=name,
        kind=kind,
        mode=_number(header[100:108], "mode") & 0o7777,
        uid=_owner(records, b"uid", header[108:116]),
        gid=_owner(records, b"gid", header[116:124]),
        size=stored,
        stored=stored,
        mtime=_moment(records, header[136:148]),
        target=target,
        device=(
            (_number(header[329:337], "major"), _number(header[337:345], "minor"))
            if special
            else (0, 0)
        ),
        xattrs={key[13:]: value for key, value in records.items() if key[:13] == b"SCHILY.xattr."},
    )
    _read_pax_sparse(entry, records)
    return entry


def _read_pax_sparse(entry: Entry, records: dict[bytes, bytes]) -> None:
    """GNU's forms 0.1 and 1.0 of a sparse file (0.0 repeats a key, which is refused)."""
    if not any(key.startswith(b"GNU.sparse.") for key in records):
        return
    version = records.get(b"GNU.sparse.major"), records.get(b"GNU.sparse.minor")
    real = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size")
    if real is None or entry.kind != REGULAR:
        raise Refused(f"{shown(entry.name)} is sparse in a form that is not known")
    entry.size = _decimal(real)
    if version == (b"1", b"0"):
        entry.mapped = True
        return
    listed = records.get(b"GNU.sparse.map")
    if listed is None or version not in {(None, None), (b"0", b"1")}:
        raise Refused(f"{shown(entry.name)} is sparse in a form that is not known")
    numbers = [_decimal(each) for each in listed.split(b",")] if listed else []
    if len(numbers) % 2:
        raise Refused(f"{shown(entry.name)} has a broken map of its pieces")
    _set_pieces(entry, list(zip(numbers[::2], numbers[1::2], strict=True)), entry.stored)


def _set_pieces(entry: Entry, pieces: list[tuple[int, int]], stored: int) -> None:
    end = 0
    for offset, length in pieces:
        if offset < end:
            raise Refused(f"{shown(entry.name)} has pieces that overlap")
        end = offset + length
    if end > entry.size or sum(length for _, length in pieces) != stored:
        raise Refused(f"{shown(entry.name)} has pieces that do not fit it")
    entry.pieces = [piece for piece in pieces if piece[1]]


def _check_sum(record: bytes) -> None:
    said = _number(record[148:156], "checksum")
    rest = sum(record) - sum(record[148:156]) + 256
    if said != rest:
        signed = rest - 256 * sum(1 for each in record[:148] + record[156:] if each > 127)
        if said != signed:
            raise Refused("what should be the header of an entry has another checksum")


def _number(text: bytes, what: str) -> int:
    """An octal number, or GNU's base-256."""
    if text[0] & 0x80:
        value = int.from_bytes(text, "big") & ((1 << (8 * len(text) - 1)) - 1)
        if text[0] & 0x40:
            value -= 1 << (8 * len(text) - 1)
        if value.bit_length() > 63:
            raise Refused(f"a {what} is too large")
    else:
        digits = text.strip(b" \0")
        if not digits:
            return 0
        if digits.strip(b"01234567"):
            raise Refused(f"a {what} is no octal number")
        value = int(digits, 8)
    if value < 0 and what != "time":
        raise Refused(f"a {what} is negative")
    return value


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise Refused(f"{shown(text)} is no number")
    return int(text)


def _pax_number(records: dict[bytes, bytes], key: bytes, text: bytes) -> int:
    said = records.get(key)
    return _decimal(said) if said else _number(text, key.decode())


def _owner(records: dict[bytes, bytes], key: bytes, text: bytes) -> int:
    owner = _pax_number(records, key, text)
    if owner >= 2**32 - 1:
        raise Refused(f"{owner} is no {key.decode()}")
    return owner


def _moment(records: dict[bytes, bytes], text: bytes) -> int:
    said = records.get(b"mtime")
    if not said:
        return min(_number(text, "time"), 2**33) * 10**9
    negative = said.startswith(b"-")
    seconds, _, fraction = said.removeprefix(b"-").partition(b".")
    if fraction.strip(b"0123456789"):
        raise Refused(f"{shown(said)} is no time")
    whole = min(_decimal(seconds), 2**33) * 10**9 + int(fraction[:9].ljust(9, b"0"))
    return -whole if negative else whole
