"""A digest is spelt in one way only."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.digest import Digest, new_hasher
from registry.oci.errors import DigestInvalid

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_digest_is_written_as_it_was_read(text: str) -> None:
    digest = Digest.parse(text)
    assert str(digest) == text
    assert (digest.algorithm, digest.encoded) == tuple(text.split(":"))


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "algorithm:encoded"),
        ("sha256", "algorithm:encoded"),
        ("a" * 64, "algorithm:encoded"),
        (":" + "a" * 64, "unsupported digest algorithm"),
        ("md5:" + "a" * 32, "unsupported digest algorithm"),
        ("SHA256:" + "a" * 64, "unsupported digest algorithm"),
        (" sha256:" + "a" * 64, "unsupported digest algorithm"),
        ("sha256+b64:" + "a" * 64, "unsupported digest algorithm"),
        ("sha256:", "64 lower-case hex digits"),
        ("sha256:" + "a" * 63, "64 lower-case hex digits"),
        ("sha256:" + "a" * 65, "64 lower-case hex digits"),
        ("sha256:" + "a" * 128, "64 lower-case hex digits"),
        ("sha512:" + "a" * 64, "128 lower-case hex digits"),
        ("sha256:" + "A" * 64, "64 lower-case hex digits"),
        ("sha256:" + "g" * 64, "64 lower-case hex digits"),
        ("sha256:" + "a" * 63 + "\n", "64 lower-case hex digits"),
        ("sha256:" + "٣" * 64, "64 lower-case hex digits"),
        ("sha256:" + "a" * 31 + ":" + "a" * 32, "64 lower-case hex digits"),
        ("sha256:../" + "a" * 61, "64 lower-case hex digits"),
        ("sha256:" + "\ud800" * 64, "64 lower-case hex digits"),
    ],
)
def test_another_spelling_is_told_what_is_wrong(text: str, detail: str) -> None:
    with pytest.raises(DigestInvalid) as caught:
        Digest.parse(text)
    assert detail in str(caught.value.detail)


@given(st.binary())
def test_the_digest_of_content_can_be_read(content: bytes) -> None:
    for algorithm in ("sha256", "sha512"):
        digest = Digest.of(content, algorithm)
        assert digest.encoded == hashlib.new(algorithm, content).hexdigest()
        assert Digest.parse(str(digest)) == digest
    assert Digest.of(content).algorithm == "sha256"


@given(st.text() | st.from_regex(r"sha(256|512):[0-9a-fA-F]*"))
def test_any_text_is_a_digest_or_refused(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except DigestInvalid:
        return
    assert str(digest) == text


def test_a_hasher_takes_content_piece_by_piece() -> None:
    hasher = new_hasher("sha256")
    for piece in (b"he", bytearray(b"l"), memoryview(b"lo")):
        hasher.update(piece)
    assert hasher.hexdigest() == Digest.of(b"hello").encoded


@pytest.mark.parametrize("algorithm", ["", "md5", "SHA256", "shake_128"])
def test_there_is_no_hasher_for_another_algorithm(algorithm: str) -> None:
    with pytest.raises(DigestInvalid):
        new_hasher(algorithm)


def test_digests_are_ordered_by_algorithm_and_then_by_content() -> None:
    low, high = Digest.parse("sha256:" + "0" * 64), Digest.parse("sha256:" + "f" * 64)
    other = Digest.parse("sha512:" + "0" * 128)
    assert sorted([other, high, low]) == [low, high, other]
