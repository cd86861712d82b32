"""Location and Link, written (pure). Locations are relative: no proxy can make them wrong."""

from collections.abc import Iterable
from urllib.parse import quote, urlencode

from registry.oci.digest import Digest


def warning(text: str) -> dict[str, str]:
    """The header by which a client is warned (distribution-spec, "Warnings"), if of anything."""
    return {"Warning": f'299 - "{text}"'} if text else {}


def blob(name: str, digest: Digest) -> str:
    """Where a blob is pulled from."""
    return f"/v2/{name}/blobs/{digest}"


def manifest(name: str, reference: object) -> str:
    """Where a manifest is pulled from."""
    return f"/v2/{name}/manifests/{reference}"


def upload(name: str, session: str, state: str | None) -> str:
    """Where an upload goes on; *state* is its sealed capability."""
    query = "" if state is None else f"?_state={quote(state, safe='')}"
    return f"/v2/{name}/blobs/uploads/{session}{query}"


def following(path: str, query: Iterable[tuple[str, str]]) -> str:
    """A Link header to the next page (RFC 5988)."""
    return f'<{path}?{urlencode(list(query))}>; rel="next"'


def received(offset: int) -> str:
    """The Range header of an upload of *offset* bytes; an empty one says 0-0 too."""
    return f"0-{max(0, offset - 1)}"
