"""What means harm: texts and documents that a server must neither believe nor stumble over."""

from collections.abc import Iterator
from copy import copy
from typing import Any

Path = tuple[str | int, ...]
"""Where a value stands in a document."""

NAMES = (
    "..",
    "../..",
    "library/../app",
    "library/./app",
    "library/..",
    "../../../../etc/passwd",
    "%2e%2e/%2e%2e/etc",
    "library/%2e%2e/app",
    "..%2f..%2fetc",
    "%252e%252e%252fetc",
    "library%252fapp",
    "library%5capp",
    "library//app",
    "/library",
    "library/",
    "library/app%00",
    "%00",
    "library/app%0d%0aSet-Cookie:%20a=b",
    "library/app%0a",
    "library/%20app",
    "Library/App",
    "library/%C3%A9",
    "library/%EF%BD%81",
    "library/%ff",
    "library/%ed%a0%80",
    "library/a%e2%80%aeb",
    "library/app;ls",
    "library/$(id)",
    "library/'%20OR%201=1%20--",
    "library/app*",
    "-library/app",
    "library/app-",
    "library/a..b",
    "library/a___b",
    "_/app",
    "library/_catalog",
    "a" * 256,
    "a/" * 200 + "a",
    "a" * 60_000,
    "a-" * 20_000 + "!",
)
"""What is no repository's name, as it stands in a path."""

TAGS = (
    "..",
    ".",
    "%2e%2e",
    "-1",
    ".1",
    "a" * 129,
    "a" * 60_000,
    "a%00",
    "%00",
    "a%0ab",
    "a%20b",
    "%C3%A9",
    "%ff",
    "a%25",
    "a@b",
    "a$",
    "'--",
)
"""What is no tag."""

DIGESTS = (
    "sha256:",
    "sha256:..",
    "sha256:%2e%2e",
    "sha256:" + "a" * 63,
    "sha256:" + "a" * 65,
    "sha256:" + "A" * 64,
    "sha256:" + "g" * 64,
    "sha256:" + "%EF%BC%91" * 64,
    "sha256:" + "a" * 63 + "%0a",
    "sha256:" + "a" * 63 + "%00",
    "SHA256:" + "a" * 64,
    "sha512:" + "a" * 64,
    "md5:" + "a" * 32,
    "sha256+b64:" + "a" * 64,
    "sha256::" + "a" * 64,
    ":" + "a" * 64,
    "%00:%00",
    "a:b:c",
    "sha256:" + "a" * 50_000,
)
"""What is neither a tag nor a digest, though it is written like one."""

UPLOADS = (
    "..",
    "%2e%2e",
    "%00",
    "1",
    "put-00000000-0000-4000-8000-000000000000",
    "00000000-0000-4000-8000-000000000000",
    "00000000-0000-4000-8000-000000000000%00",
    "*",
    "%25",
    "' OR ''='",
    "a" * 60_000,
    "%C3%A9",
    "%ed%a0%80",
)
"""What is no upload session."""

NUMBERS = (
    "-1",
    "",
    "+1",
    "1e3",
    "0x10",
    "1_0",
    " 1",
    "1.5",
    "NaN",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "\N{FULLWIDTH DIGIT ONE}",
    "1" * 31,
    "%00",
    "n",
)
"""What is no number of items."""

TEXTS = (
    "",
    "..",
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "%F0%9F%92%A9",
    "'%20OR%201=1%20--",
    "%25",
    "_%25",
    "~" * 50_000,
    "%0d%0aX: y",
)
"""What may stand wherever any text may."""

RANGES = (
    "bytes=9-0",
    "bytes=0-0",
    "bytes=-0",
    "bytes=-1",
    "bytes=--1",
    "bytes=-",
    "bytes=0-" + "9" * 30,
    "bytes=" + "9" * 30 + "-",
    "bytes=-" + "9" * 30,
    "bytes=-9223372036854775808",
    "bytes=18446744073709551615-18446744073709551616",
    "bytes=" + ",".join(["0-"] * 5000),
    "bytes=0-1,1-2",
    "bytes=a-b",
    "bytes=\N{ARABIC-INDIC DIGIT ONE}-\N{ARABIC-INDIC DIGIT TWO}",
    "bytes=0x0-0x1",
    "bytes 0-1",
    "items=0-1",
    "=",
    "\t",
    "bytes=" + "0" * 50_000 + "-1",
)
"""Values of Range."""

PATHS = (
    "/..",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/v2/../v2/library/app/tags/list",
    "//v2/",
    "/V2/",
    "/v2/_catalog/",
    "/v2/_catalog/../x",
    "/v2/library/app/blobs/uploads/..%2f..%2fetc",
    "/v2/library/app/manifests/",
    "/v2/library/app/blobs/",
    "/v2/library/app/unknown/1",
    "/v2/" + "%2" * 20_000,
    "/auth/../v2/",
    "/healthz/..",
    "/image/v2/images/%2e%2e",
    "/image/v2/../../v2/",
)
"""Paths at which nothing is."""


def shown(text: str) -> str:
    """*text* as a test's name can hold it."""
    return text if len(text) <= 80 else f"{text[:60]}... of {len(text)}"


VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    10**400,
    "",
    "x\0y\x1b[2J",
    [],
    [None],
    {},
    {"a": {}},
)


def places(document: Any, path: Path = ()) -> Iterator[Path]:
    """Where a value stands in *document*, the whole included."""
    yield path
    members: Any = ()
    if isinstance(document, dict):
        members = document.items()
    elif isinstance(document, list):
        members = enumerate(document)
    for key, value in members:
        yield from places(value, (*path, key))


def replaced(document: Any, path: Path, value: Any) -> Any:
    """*document* with another *value* at *path*."""
    if not path:
        return value
    changed = copy(document)
    changed[path[0]] = replaced(document[path[0]], path[1:], value)
    return changed


def kind(value: Any) -> str:
    return "number" if type(value) in {int, float} else type(value).__name__


def value_at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document
