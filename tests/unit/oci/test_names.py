"""Repository names, tags and references, up to their bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, NameInvalid
from registry.oci.names import (
    NAME_LIMIT,
    RepositoryName,
    Tag,
    parse_reference,
    parse_repository,
)

NAMES = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+){0,3}", fullmatch=True)


def parse(text: str) -> RepositoryName:
    return parse_repository(text, default_project="library")


@pytest.mark.parametrize(
    ("text", "project", "path"),
    [
        ("app", "library", "app"),
        ("team/app", "team", "app"),
        ("team/app/web", "team", "app/web"),
        ("a.b/c_d/e__f/g---h", "a.b", "c_d/e__f/g---h"),
        ("0/1", "0", "1"),
        ("blobs/uploads", "blobs", "uploads"),
    ],
)
def test_a_name_is_a_project_and_a_path(text: str, project: str, path: str) -> None:
    name = parse(text)
    assert name == RepositoryName(project, path)
    assert str(name) == f"{project}/{path}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/app",
        "app/",
        "team//app",
        "App",
        "team/App",
        "-app",
        "app-",
        "app_",
        ".app",
        "a..b",
        "a___b",
        "a._b",
        "a-.b",
        "a b",
        "app\n",
        "app:1",
        "app@sha256",
        "../app",
        "team/..",
        "ä",
        "٣",
        "\ud800",
        "a\0b",
        "a%2fb",
    ],
)
def test_another_spelling_is_no_name(text: str) -> None:
    with pytest.raises(NameInvalid, match="components of lower-case letters"):
        parse(text)


def test_a_name_may_have_255_characters_and_no_more() -> None:
    longest = "team/" + "a" * (NAME_LIMIT - 5)
    assert len(longest) == 255
    assert str(parse(longest)) == longest
    with pytest.raises(NameInvalid, match="at most 255 characters"):
        parse(longest + "a")


@pytest.mark.parametrize("text", ["a" * 10_000_000, "a-" * 127 + "!", "a" + "-" * 254])
def test_a_name_made_to_be_slow_is_refused_at_once(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse(text)


@given(st.text() | NAMES)
def test_any_text_is_a_name_that_keeps_its_spelling_or_refused(text: str) -> None:
    try:
        name = parse(text)
    except NameInvalid:
        return
    assert str(name) in {text, f"library/{text}"}
    assert parse(str(name)) == name


@pytest.mark.parametrize("text", ["latest", "1", "_", "A.b-c_d", "v1.0.0-rc.1", "t" * 128])
def test_a_tag_is_written_as_it_was_read(text: str) -> None:
    assert str(Tag.parse(text)) == text
    assert parse_reference(text) == Tag(text)


@pytest.mark.parametrize(
    "text", ["", ".a", "-a", "a b", "a\n", "a/b", "a+b", "ä", "٣", "\ud800", "\0", "t" * 129]
)
def test_another_spelling_is_no_tag(text: str) -> None:
    with pytest.raises(NameInvalid, match="a tag has 1 to 128 characters"):
        parse_reference(text)


def test_what_holds_a_colon_is_meant_as_a_digest() -> None:
    digest = Digest.of(b"content")
    assert parse_reference(str(digest)) == digest
    with pytest.raises(DigestInvalid):
        parse_reference("latest:1")


@given(st.text())
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = parse_reference(text)
    except (NameInvalid, DigestInvalid):
        return
    assert str(reference) == text
