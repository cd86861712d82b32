"""Paths are taken apart from their end: a repository may be called anything."""

import pytest

from registry.oci.errors import MethodUnsupported, RouteUnknown
from registry.v2api import routes


@pytest.mark.parametrize(
    ("path", "methods", "name", "reference"),
    [
        ("/v2", routes.BASE, "", ""),
        ("/v2/", routes.BASE, "", ""),
        ("/v2/_catalog", routes.CATALOGUE, "", ""),
        ("/v2/a/blobs/uploads", routes.UPLOADS, "a", ""),
        ("/v2/a/b/blobs/uploads/", routes.UPLOADS, "a/b", ""),
        ("/v2/a/blobs/uploads/123", routes.UPLOAD, "a", "123"),
        ("/v2/a/blobs/sha256:1", routes.BLOB, "a", "sha256:1"),
        ("/v2/a/manifests/latest", routes.MANIFEST, "a", "latest"),
        ("/v2/a/tags/list", routes.TAGS, "a", ""),
        ("/v2/a/referrers/sha256:1", routes.REFERRERS, "a", "sha256:1"),
        ("/v2/tags/list/manifests/list", routes.MANIFEST, "tags/list", "list"),
        ("/v2/blobs/uploads/tags/list", routes.TAGS, "blobs/uploads", ""),
        ("/v2/manifests/blobs/uploads/", routes.UPLOADS, "manifests", ""),
    ],
)
def test_a_path_is_taken_apart(
    path: str, methods: dict[str, routes.Route], name: str, reference: str
) -> None:
    found = routes.match(path)
    assert found.methods is methods
    assert (found.name, found.reference) == (name, reference)
    assert found.upload is (methods is routes.UPLOAD)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/a",
        "/v2/a/tags",
        "/v2/a/tags/other",
        "/v2/manifests/x",
        "/v2/a/manifests/",
        "/v2//",
        "/v2/a/x/y",
    ],
)
def test_another_path_is_unknown(path: str) -> None:
    with pytest.raises(RouteUnknown):
        routes.match(path)


def test_a_wrong_method_is_told_the_right_ones() -> None:
    with pytest.raises(MethodUnsupported) as caught:
        routes.choose(routes.match("/v2/a/tags/list"), "PUT")
    assert caught.value.headers["Allow"] == "GET, HEAD"
