"""No secret stays in what is stored or logged."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setspec.secrets import CRYPT, DEPLOY, PASSWORD, SecretKind, references, reused, split
from setspec.shape import dump
from support.setdocs import WHOLE, accepted, cloned, container, named, small
from support.setdraws import BUSY, ODD, mutated, v3_documents

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----\n"
KEY_BASE64 = "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCmNhbmFyeQo="


def test_secrets_are_taken_out_and_references_stand_in_their_places() -> None:
    before = cloned(WHOLE)
    result = accepted(WHOLE)
    assert before == WHOLE
    kept = json.dumps(result.document) + json.dumps(dump(result.spec)) + repr(result)
    for secret in ("correct horse", "sesame", "grain", "unlock"):
        assert secret not in kept
    found = {each.path: (each.kind, each.value) for each in result.secrets}
    web = ("containers", 0)
    assert found == {
        ("ssh", "password"): (SecretKind.PASSWORD, "correct horse"),
        (*web, "env", "DB_PASSWORD"): (SecretKind.TEXT, "sesame"),
        (*web, "env", "SALT"): (SecretKind.TEXT, "grain"),
        (*web, "files", 2, "content"): (SecretKind.TEXT, "unlock"),
    }
    assert [each for _, each in references(result.document)] == [
        each.reference for each in result.secrets
    ]


def test_what_is_no_secret_stays() -> None:
    document = accepted(WHOLE).document
    web = document["containers"][0]
    assert web["env"]["LANG"] == "C.UTF-8"
    assert web["files"][0] == WHOLE["containers"][0]["files"][0]


def test_a_document_without_secrets_is_accepted_as_it_is_and_gives_none() -> None:
    first = accepted(WHOLE)
    again = accepted(first.document)
    assert again.document == first.document
    assert again.spec == first.spec
    assert again.secrets == ()


def test_a_new_reference_is_asked_for_with_place_and_value() -> None:
    asked: list[tuple[str, str]] = []

    def new_reference(pointer: str, value: str) -> str:
        asked.append((pointer, value))
        return f"s{len(asked)}"

    result = split({"ssh": {"password": "pw"}, "infra": {"env": {"TOKEN": "t"}}}, new_reference)
    assert asked == [("/ssh/password", "pw"), ("/infra/env/TOKEN", "t")]
    assert result.document == {
        "ssh": {"password": {"secret_ref": "s1"}},
        "infra": {"env": {"TOKEN": {"secret_ref": "s2"}}},
    }


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "db_passwd", "PassPhrase", "MY_SECRET", "GITHUB_TOKEN", "API_KEY", "api-key"),
        *("APIKEY", "PRIVATE_KEY", "access.key", "AWS_SECRET_ACCESS_KEY", "credentials"),
    ],
)
def test_a_variable_whose_name_tells_is_a_secret(name: str) -> None:
    result = accepted(small(containers=[container(env={name: "canary"})]))
    assert "canary" not in json.dumps(result.document)


@pytest.mark.parametrize("name", ["LANG", "KEY", "PATH", "KEYBOARD", "PASS"])
def test_a_variable_whose_name_tells_nothing_stays(name: str) -> None:
    assert accepted(small(containers=[container(env={name: "x"})])).secrets == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"env": {"A": KEY}},
        {"files": [{"path": "/k", "content": KEY}]},
        {"files": [{"path": "/k", "content_base64": KEY_BASE64}]},
        {"files": [{"path": "/k", "content": "-----BEGIN PGP PRIVATE KEY BLOCK-----"}]},
    ],
)
def test_a_private_key_is_a_secret_wherever_it_stands(fields: dict[str, Any]) -> None:
    result = accepted(small(containers=[container(**fields)]))
    (secret,) = result.secrets
    kept = json.dumps(result.document) + repr(result.spec)
    assert secret.value not in kept
    assert "canary" not in kept


def test_what_is_no_base64_holds_no_key() -> None:
    files = [{"path": "/k", "content_base64": text} for text in ("A", "é", "-----BEGIN")]
    document = {"containers": [{"files": files}]}
    assert split(document, named).secrets == ()


def test_a_public_key_is_none() -> None:
    text = "-----BEGIN PUBLIC KEY-----"
    assert accepted(small(containers=[container(env={"A": text})])).secrets == ()


def test_operations_have_secrets_too() -> None:
    files = [{"path": "/a", "content": {"secret": "x"}}, {"path": "/b", "content": "plain"}]
    deployed = split({"container": "web", "files": files}, named, DEPLOY)
    assert deployed.document["files"][0]["content"] == {"secret_ref": named("", "x")}
    assert deployed.document["files"][1] == files[1]
    (secret,) = split({"password": "pw"}, named, PASSWORD).secrets
    assert secret.kind is SecretKind.PASSWORD


def test_a_secret_is_not_shown() -> None:
    (secret,) = split({"password": "canary"}, named, PASSWORD).secrets
    assert secret.value == "canary"
    assert "canary" not in repr(secret)


@BUSY
@given(mutated(v3_documents()))
def test_a_document_of_any_form_is_split(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    result = split(document, named)
    assert document == before
    assert split(result.document, named).secrets == ()


@BUSY
@given(st.dictionaries(st.sampled_from(["ssh", "infra", "containers"]), ODD))
def test_whatever_stands_in_the_place_of_a_secret_nothing_breaks(document: dict[str, Any]) -> None:
    assert split(document, named).document == document
    assert references(document) == ()


@pytest.mark.parametrize(
    "text",
    [
        "$6$saltsalt$" + "a" * 86,
        "$6$rounds=5000$salt$" + "b" * 86,
        "$y$j9T$salt$" + "c" * 43,
        "$5$salt$" + "d" * 43,
        "$2b$12$" + "e" * 53,
        "$7$CU..../....salt$" + "f" * 43,
    ],
)
def test_a_crypt_hash_is_known(text: str) -> None:
    assert CRYPT.fullmatch(text)


@pytest.mark.parametrize(
    "text", ["", "plain", "$1$salt$abc", "$6$", "x$6$a$b", "$6$a$b\n", "$6$a:b", "$6$a$b c", "!"]
)
def test_what_is_no_strong_crypt_hash_is_known(text: str) -> None:
    assert not CRYPT.fullmatch(text)


def test_a_secret_that_is_known_keeps_its_reference_and_a_password_is_no_text() -> None:
    known = {"a": "sesame", "b": "hash of sesame"}
    reference = reused(known, lambda kept, password: kept == f"hash of {password}")
    assert reference("/containers/0/env/TOKEN", "sesame") == "a"
    assert reference("/ssh/password", "sesame") == "b"
    fresh = reference("/containers/0/env/TOKEN", "barley")
    assert fresh not in known
    assert reference("/containers/0/env/TOKEN", "barley") != fresh
