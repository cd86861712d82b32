"""Image records on a shelf: what Glance answers about them, in Python and over HTTP."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from climg.errors import NotFound
from climg.records import Record

PAGE = 2
"""So small that every list has pages."""


Documents = list[dict[str, Any]]


def identifier(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def document(number: int, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """An image as the Image API has it."""
    return {
        "id": identifier(number),
        "name": name,
        "owner": "library",
        "disk_format": "docker",
        "container_format": "docker",
        "size": 0,
        "visibility": "private",
        "status": "active",
        "min_disk": 0,
        "min_ram": 0,
        "protected": False,
        "os_hidden": False,
        "tags": [],
        **fields,
    }


def layer(number: int, parent: int | None, size: int, **fields: Any) -> dict[str, Any]:
    """A layer's record, hidden as in Glance."""
    above = {} if parent is None else {"parent_id": identifier(parent)}
    told = {"oci_kind": "layer", "oci_size": str(size), "oci_created_by": f"RUN {number}"}
    return document(number, **{"os_hidden": True, **told, **above, **fields})


def tag(number: int, name: str, parent: int, size: int, **fields: Any) -> dict[str, Any]:
    """A tag's record."""
    repository, _, word = name.partition(":")
    told = {"oci_kind": "tag", "oci_repository": repository, "oci_tag": word}
    place = {"oci_size": str(size), "parent_id": identifier(parent)}
    return document(number, name, **told, **place, **fields)


def manifest(
    number: int, repository: str, digest: str, parent: int, **fields: Any
) -> dict[str, Any]:
    """The record of one image of an index."""
    told = {"oci_kind": "manifest", "oci_repository": repository, "oci_digest": digest}
    place = {"parent_id": identifier(parent), "os_hidden": True, "oci_size": "1000"}
    return document(number, f"{repository}@{digest}", **told, **place, **fields)


class Shelf:
    """Documents, the newest first; counts the lists that were asked for."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.documents = list(documents)
        self.lists = 0

    def list(self, filters: Mapping[str, str]) -> Iterator[Record]:
        self.lists += 1
        return map(Record.parse, self.matching(filters))

    def find(self, record: str) -> Record:
        for each in self.documents:
            if each["id"] == record:
                return Record.parse(each)
        raise NotFound(f"not found: no image {record}")

    def matching(self, filters: Mapping[str, str]) -> Documents:
        wanted = {"os_hidden": "false", **filters}
        return [
            each
            for each in self.documents
            if all(_fits(each.get(name), value) for name, value in wanted.items())
        ]


def _fits(present: object, wanted: str) -> bool:
    operator, colon, rest = wanted.partition(":")
    shown = str(present).lower() if isinstance(present, bool) else str(present)
    if colon and operator in {"eq", "in"}:
        return shown in (rest.split(",") if operator == "in" else [rest])
    return shown == wanted


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    shelf: Shelf
    broken: tuple[int, str, bytes] | None


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if self.server.broken is not None:
            status, kind, content = self.server.broken
            self._send(status, content, kind)
        elif parts.path.endswith("/v2/images"):
            self._list(query)
        elif parts.path.endswith("/v2/schemas/image"):
            self._json(200, {"name": "image", "properties": {"id": {"type": "string"}},
                             "additionalProperties": {"type": "string"}})  # fmt: skip
        else:
            wanted = parts.path.rpartition("/")[2]
            found = [each for each in self.server.shelf.documents if each["id"] == wanted]
            self._json(200, found[0]) if found else self._json(
                404, {"error": {"code": 404, "message": "no such image"}}
            )

    def _list(self, query: dict[str, str]) -> None:
        limit = min(int(query.pop("limit")), PAGE)
        marker = query.pop("marker", None)
        found = self.server.shelf.matching(query)
        ids = [each["id"] for each in found]
        start = ids.index(marker) + 1 if marker else 0
        page = found[start : start + limit]
        body: dict[str, Any] = {"images": page}
        if len(found) > start + limit:
            more = "&".join(f"{name}={value}" for name, value in query.items())
            body["next"] = f"/v2/images?limit={limit}&marker={page[-1]['id']}&{more}"
        self._json(200, body)

    def _json(self, status: int, body: object) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(shelf: Shelf, broken: tuple[int, str, bytes] | None = None) -> Iterator[str]:
    """Yield the address of an Image API over *shelf*; *broken* is its one answer, if given."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.shelf, server.broken = shelf, broken
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(30)


TALK = Shelf(
    tag(0xFB9205AC, "docker-centos", 0x4DD5113F, 10_240),
    layer(0x4DD5113F, 0xFEABBBF4, 10_240),
    layer(0xFEABBBF4, 0x4A7BC8ED, 10_240),
    layer(0x4A7BC8ED, 0xF71C1BC2, 10_240),
    layer(0xF71C1BC2, 0x69240924, 202_004_480),
    layer(0x69240924, None, 10_240),
    document(
        0x666E690A,
        "cirros-0.3.2-x86_64-disk.img",
        disk_format="qcow2",
        container_format="bare",
        size=13_167_616,
        visibility="public",
    ),
)
"""What the talk's own listing was made of."""
