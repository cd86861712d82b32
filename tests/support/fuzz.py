"""Requests to any endpoint by chance: mostly well spelt, with something odd here and there."""

import base64
import json
import os
import reprlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hypothesis import settings
from hypothesis import strategies as st

from registry.oci.descriptor import OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import image, index
from support.hostile import DIGESTS, NAMES, NUMBERS, PATHS, TAGS, TEXTS, UPLOADS, VALUES
from support.server import ALICE, CAROL
from support.wire import request

EXAMPLES = int(os.environ.get("TEST_FUZZ", "0"))
"""How many requests the long form makes; 0: the short form, the same ones in every run."""
QUICK = 1000

APP = image("base", "top")
BLOBS = (*APP.blobs, b"", b"small")
INDEX = index(APP)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 500
UPLOAD = "<upload>"
"""Stands in a path for a session that there is."""


def fuzzing() -> settings:
    """As many examples as asked for; without being asked, few and always the same."""
    return settings(
        max_examples=EXAMPLES or QUICK, derandomize=not EXAMPLES, deadline=None, database=None
    )


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """A request, not yet spelt."""

    kind: str
    """The endpoint: ``blob``, ``tags`` ..."""
    method: str
    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | None = None

    def __repr__(self) -> str:
        """Short enough to be shown for every request."""
        parts = (self.kind, self.method, self.path, self.query, self.headers, self.body)
        return f"Asked({', '.join(_SHORT.repr(part) for part in parts)})"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """For hypothesis, which would show all of it."""
        printer.text(repr(self))

    def spell(self, upload: str) -> bytes:
        """Its bytes; *upload* is the id of a session that there is."""
        query = "&".join(f"{name}={value}" for name, value in self.query)
        target = quote(self.path.replace(UPLOAD, upload), safe="/%:;=$*'()!@+~,")
        if query:
            target += "?" + quote(query, safe="/%:;=$*'()!@+~,&")
        headers = [f"{name}: {value}".encode("latin-1", "replace") for name, value in self.headers]
        return request(self.method, target, *headers, body=self.body)


@st.composite
def mostly(draw: st.DrawFn, *usual: str, odd: tuple[str, ...] = TEXTS) -> str:
    """One of the *usual* texts; one time in ten an *odd* one, or any at all."""
    if draw(st.integers(0, 9)) < 9:
        return draw(st.sampled_from(usual))
    return draw(st.sampled_from(odd) | st.text(max_size=20))


NAME = mostly("library/app", "library/app", "library/other", "other", odd=NAMES)
DIGEST = mostly(*(str(Digest.of(blob)) for blob in BLOBS), str(APP.digest), odd=DIGESTS)
TAG = mostly("1", "2", "index", odd=TAGS)
REFERENCE = TAG | mostly(str(APP.digest), str(Digest.of(INDEX)), odd=DIGESTS)
SESSION = mostly(UPLOAD, odd=UPLOADS).map(lambda text: text or "1")

QUERY = st.lists(
    st.one_of(
        st.tuples(st.just("n"), mostly("0", "1", "2", "1000", odd=NUMBERS)),
        st.tuples(st.just("last"), TAG | DIGEST),
        st.tuples(st.sampled_from(["digest", "mount"]), DIGEST),
        st.tuples(st.just("from"), NAME),
        st.tuples(st.just("tag"), TAG),
        st.tuples(st.just("digest-algorithm"), mostly("sha256", "sha512", odd=DIGESTS)),
        st.tuples(st.just("artifactType"), mostly(OCI_MANIFEST, "a/b")),
        st.tuples(st.sampled_from(["limit", "size_min", "size_max"]), mostly("1", odd=NUMBERS)),
        st.tuples(
            st.sampled_from(["marker", "sort", "sort_key", "sort_dir", "name", "visibility"]),
            mostly("name:asc", "created_at", "asc", "in:a,b", "all", "public"),
        ),
        st.tuples(
            st.sampled_from(["scope", "service", "offline_token", "_state", "ns"]),
            mostly("repository:library/app:pull,push", "registry:catalog:*", "berth", "true"),
        ),
        st.tuples(st.text(max_size=5), st.text(max_size=5)),
    ),
    max_size=3,
)

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]))
RANGE = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: f"{pair[0]}-{pair[1]}")


def credentials(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


NO_RIGHTS = st.none() | st.sampled_from(
    [
        credentials(CAROL.name, CAROL.password),
        credentials(ALICE.name, "wrong"),
        credentials("nobody", ""),
        "Basic !",
        "Bearer none",
        "Bearer a.b.c",
        "Digest a=b",
    ]
)
"""Values of Authorization that let nobody write anything."""

HEADERS = st.lists(
    st.one_of(
        st.tuples(
            st.just("Content-Type"),
            mostly(
                *(OCI_MANIFEST, OCI_INDEX, "application/octet-stream", "application/json"),
                "application/x-www-form-urlencoded",
                "application/openstack-images-v2.1-json-patch",
                odd=("",),
            ).filter(str.isprintable),
        ),
        st.tuples(st.just("Content-Range"), RANGE),
        st.tuples(st.just("Range"), RANGE.map("bytes={}".format) | st.just("bytes=-5")),
        st.tuples(st.just("Accept"), st.sampled_from(["*/*", OCI_INDEX, "", "text/html;q=9"])),
        st.tuples(st.sampled_from(["Accept-Encoding", "TE"]), st.just("gzip, trailers")),
        st.tuples(st.just("Expect"), st.just("100-continue")),
        st.tuples(st.sampled_from(["X-Auth-Token", "X-OpenStack-Request-ID", "Cookie"]), WORDS),
        st.tuples(st.sampled_from(["If-None-Match", "If-Match"]), st.just("*")),
    ),
    max_size=3,
)


def _changed(document: dict[str, Any], key: str, value: Any) -> bytes:
    return json.dumps({**document, key: value}).encode()


_DOCUMENTS = [json.loads(APP.manifest), json.loads(INDEX), json.loads(APP.config)]
BODY = st.one_of(
    st.none(),
    st.sampled_from([*BLOBS, APP.manifest, INDEX]),
    st.builds(
        _changed,
        st.sampled_from(_DOCUMENTS),
        st.sampled_from(["config", "layers", "manifests", "subject", "annotations", "mediaType"]),
        st.sampled_from(VALUES),
    ),
    st.sampled_from(
        [
            b"grant_type=password&username=alice&password=x",
            b"grant_type=refresh_token&refresh_token=x&scope=repository:a:pull",
            b'[{"op": "replace", "path": "/visibility", "value": "shared"}]',
            b'{"member": "conformance"}',
            b'{"status": "accepted"}',
        ]
    ),
    st.binary(max_size=100),
)

METHOD = st.sampled_from(
    ["GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LOCK"]
)
ENDPOINTS = st.one_of(
    st.tuples(st.just("base"), st.just("/v2/")),
    st.tuples(st.just("catalogue"), st.just("/v2/_catalog")),
    st.tuples(st.just("uploads"), NAME.map("/v2/{}/blobs/uploads/".format)),
    st.tuples(st.just("upload"), st.builds("/v2/{}/blobs/uploads/{}".format, NAME, SESSION)),
    st.tuples(st.just("blob"), st.builds("/v2/{}/blobs/{}".format, NAME, DIGEST)),
    st.tuples(st.just("manifest"), st.builds("/v2/{}/manifests/{}".format, NAME, REFERENCE)),
    st.tuples(st.just("tags"), NAME.map("/v2/{}/tags/list".format)),
    st.tuples(st.just("referrers"), st.builds("/v2/{}/referrers/{}".format, NAME, DIGEST)),
    st.tuples(
        st.just("auth"),
        st.sampled_from(["/auth/token", "/auth/jwks.json", "/auth/revoke", "/auth/"]),
    ),
    st.tuples(
        st.just("image"),
        st.sampled_from(
            ["", "/", "/versions", "/v2/images", "/v2/schemas/image", "/v2/images/x/file"]
        ).map("/image{}".format)
        | st.builds("/image/v2/images/{}/members/{}".format, SESSION, NAME),
    ),
    st.tuples(st.just("other"), st.sampled_from(["/healthz", "/readyz", "/", *PATHS])),
)
USUAL = {
    "uploads": "POST",
    "upload": "PATCH",
    "blob": "GET",
    "manifest": "PUT",
    "image": "POST",
    "auth": "POST",
}


@st.composite
def requests(draw: st.DrawFn, rights: st.SearchStrategy[str | None]) -> Asked:
    """Any request. *rights* are values of Authorization; None is none."""
    kind, path = draw(ENDPOINTS)
    usual = st.just(USUAL.get(kind, "GET"))
    method = draw(METHOD if draw(st.integers(0, 2)) else usual)
    headers = draw(HEADERS)
    if (authorization := draw(rights)) is not None:
        headers.append(("Authorization", authorization))
    body = draw(BODY) if method not in {"GET", "HEAD"} else None
    return Asked(kind, method, path, draw(QUERY), headers, body)
