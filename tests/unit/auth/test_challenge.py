"""A challenge is read as it was written; scopes are understood or left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.auth.challenge import CATALOGUE, Scope, parse_scopes, read, write
from registry.auth.ports import Action

PULL, PUSH, DELETE = Action
REALM = "https://registry.example/auth/token"


def test_a_challenge_has_the_form_that_clients_know() -> None:
    scopes = ["repository:a/b:pull,push", "repository:c/d:pull"]
    assert write(REALM, "berth", scopes, "insufficient_scope") == (
        f'Bearer realm="{REALM}",service="berth",'
        'scope="repository:a/b:pull,push repository:c/d:pull",error="insufficient_scope"'
    )


def test_what_there_is_nothing_to_say_of_is_left_out() -> None:
    assert write(REALM, "berth", ()) == f'Bearer realm="{REALM}",service="berth"'


@given(realm=st.text(), service=st.text(), scopes=st.lists(st.text()), error=st.none() | st.text())
def test_a_challenge_is_read_as_it_was_written(
    realm: str, service: str, scopes: list[str], error: str | None
) -> None:
    expected = {"realm": realm, "service": service}
    if " ".join(scopes):
        expected["scope"] = " ".join(scopes)
    if error is not None:
        expected["error"] = error
    assert read(write(realm, service, scopes, error)) == expected


@pytest.mark.parametrize("header", ["", "Bearer", "Basic realm=x", 'Basic realm="x"', "x,y=z"])
def test_what_is_no_bearer_challenge_has_no_parameters(header: str) -> None:
    assert read(header) == {}


def test_the_scheme_is_read_in_any_case_and_spaces_do_not_matter() -> None:
    assert read('bearer realm="x", service="y"') == {"realm": "x", "service": "y"}


@given(st.text())
def test_any_text_is_read(header: str) -> None:
    assert isinstance(read(header), dict)


def test_a_scope_is_written_with_its_actions_in_order() -> None:
    assert str(Scope("a/b", frozenset({DELETE, PULL}))) == "repository:a/b:pull,delete"
    assert str(Scope("a", frozenset())) == "repository:a:"


@pytest.mark.parametrize(
    ("text", "name", "actions"),
    [
        ("repository:a/b:pull", "a/b", {PULL}),
        ("repository:a/b:push,pull", "a/b", {PULL, PUSH}),
        ("repository:a/b:*", "a/b", {PULL, PUSH, DELETE}),
        ("repository:a/b:pull,*", "a/b", {PULL, PUSH, DELETE}),
        ("repository:a/b:", "a/b", set()),
        ("repository:a/b:fly,PULL,delete", "a/b", {DELETE}),
        ("repository(plugin):a/b:pull", "a/b", {PULL}),
        ("repository:host:5000/a:pull", "host:5000/a", {PULL}),
    ],
)
def test_a_scope_is_a_repository_and_known_actions(
    text: str, name: str, actions: set[Action]
) -> None:
    assert parse_scopes([text]) == ([Scope(name, frozenset(actions))], False)


@pytest.mark.parametrize(
    "text", ["", " ", "repository", "repository:", "repository:a", "registry:catalog:pull", "x:y:z"]
)
def test_what_is_not_understood_is_left_out(text: str) -> None:
    assert parse_scopes([text]) == ([], False)


def test_many_scopes_may_stand_in_one_text_or_in_several() -> None:
    words = ["repository:a/b:pull", CATALOGUE, "nonsense", "repository:c/d:push"]
    expected = ([Scope("a/b", frozenset({PULL})), Scope("c/d", frozenset({PUSH}))], True)
    assert parse_scopes(words) == expected
    assert parse_scopes(["  ".join(words)]) == expected


@given(st.lists(st.text()))
def test_any_texts_are_scopes_or_left_out(texts: list[str]) -> None:
    scopes, _ = parse_scopes(texts)
    assert all(scope.name for scope in scopes)


@given(st.from_regex(r"[a-z]+(/[a-z:]+)*", fullmatch=True), st.frozensets(st.sampled_from(Action)))
def test_a_scope_is_read_as_it_was_written(name: str, actions: frozenset[Action]) -> None:
    scope = Scope(name, actions)
    assert parse_scopes([str(scope)]) == ([scope], False)
