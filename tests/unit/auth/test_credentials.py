"""What user names mean at a Keystone."""

import pytest

from registry.auth.keystone import credentials
from registry.auth.keystone.credentials import ApplicationCredential, Password, Token
from registry.oci.errors import Unauthorized

ID = "0d7174fc008744f78f3994b5e4dfbbe1"
DOMAINS = {"Default": "default", "corp": ID}


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("alice", Password("alice", "default", "w")),
        ("alice@corp", Password("alice", ID, "w")),
        ("alice@corp/east", Password("alice", ID, "w", "east")),
        ("alice/east", Password("alice", "default", "w", "east")),
        ("alice/", Password("alice", "default", "w")),
        ("alice@example.com", Password("alice@example.com", "default", "w")),
        ("alice@example.com@corp", Password("alice@example.com", ID, "w")),
        ("alice@CORP", Password("alice@CORP", "default", "w")),
        ("a/b/east", Password("a/b", "default", "w", "east")),
        ("a/b/", Password("a/b", "default", "w")),
        ("token@corp", Password("token", ID, "w")),
        ("Token", Password("Token", "default", "w")),
        ("é", Password("é", "default", "w")),
        (f"ac+{ID}", ApplicationCredential("w", id=ID)),
        ("ac+ci@alice", ApplicationCredential("w", None, "ci", "alice", "default")),
        ("ac+ci@alice@corp", ApplicationCredential("w", None, "ci", "alice", ID)),
        ("ac+ci@a@b.c", ApplicationCredential("w", None, "ci", "a@b.c", "default")),
        ("ac+ci@a@b.c@corp", ApplicationCredential("w", None, "ci", "a@b.c", ID)),
        ("ac+a/b", ApplicationCredential("w", id="a/b")),
        ("token", Token("w")),
    ],
)
def test_a_user_name_says_what_kind_of_credential_it_is(
    username: str, expected: credentials.Credentials
) -> None:
    read = credentials.read(username, "w", "default", DOMAINS)
    assert read == expected
    assert "'w'" not in repr(read)


@pytest.mark.parametrize(
    ("username", "word"),
    [
        ("", "w"),
        ("alice", ""),
        ("/east", "w"),
        ("@corp", "w"),
        ("@corp/east", "w"),
        ("al\nice", "w"),
        ("alice\0", "w"),
        ("ac+", "w"),
        ("ac+@alice", "w"),
        ("ac+ci@", "w"),
        ("ac+ci@corp", "w"),
        ("ac+@corp", "w"),
        ("token", "a b"),
        ("token", "a\r\nb"),
        ("token", "é"),
        ("token", "x" * 16385),
    ],
)
def test_what_cannot_be_right_is_refused_unasked(username: str, word: str) -> None:
    with pytest.raises(Unauthorized, match=credentials.WRONG):
        credentials.read(username, word, "default", DOMAINS)


def test_guesses_at_one_user_are_counted_together() -> None:
    spellings = ("alice", "ALICE", "alice/east", "alice@Default", " alice@Default/west")
    read = [credentials.read(each, "w", "default", DOMAINS) for each in spellings]
    assert {each.guessed for each in read if isinstance(each, Password)} == {"alice@default"}
    others = ("alice@corp", "ac+alice", "ac+ci@alice", "ac+ci@alice@corp")
    told = [credentials.read(each, "w", "default", DOMAINS) for each in others]
    assert len({each.guessed for each in told if not isinstance(each, Token)}) == len(others)


def test_an_id_has_32_hex_digits() -> None:
    assert credentials.is_id(ID)
    for text in (ID[:-1], ID + "0", ID.upper(), "east", "", ID[:-1] + "g", ID + "\n"):
        assert not credentials.is_id(text)
