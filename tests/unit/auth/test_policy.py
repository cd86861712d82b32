"""The whole table of roles and actions."""

import pytest

from registry.auth.policy import allowed, may, may_share, readable_projects
from registry.auth.ports import ANONYMOUS, Action, Principal
from registry.oci.names import RepositoryName

BOOTS = RepositoryName("shoes", "red/boots")
STRAW = RepositoryName("hats", "straw")
PULL, PUSH, DELETE = Action


def with_role(*roles: str) -> Principal:
    return Principal("1", "alice", {"shoes": frozenset(roles)})


@pytest.mark.parametrize(
    ("roles", "actions"),
    [
        ((), set()),
        (("reader",), {PULL}),
        (("member",), {PULL, PUSH, DELETE}),
        (("manager",), {PULL, PUSH, DELETE}),
        (("admin",), {PULL, PUSH, DELETE}),
        (("reader", "member"), {PULL, PUSH, DELETE}),
        (("owner",), set()),
        (("Member",), set()),
        (("",), set()),
    ],
)
def test_a_role_is_good_for_these_actions_in_its_project_alone(
    roles: tuple[str, ...], actions: set[Action]
) -> None:
    principal = with_role(*roles)
    assert {action for action in Action if may(principal, BOOTS, action)} == actions
    assert {action for action in Action if allowed(principal, BOOTS, action)} == actions
    assert not any(may(principal, STRAW, action) for action in Action)


def test_an_administrator_crosses_projects() -> None:
    principal = Principal("1", "root", admin=True)
    assert all(allowed(principal, name, action) for name in (BOOTS, STRAW) for action in Action)


def test_the_anonymous_caller_may_do_nothing() -> None:
    assert ANONYMOUS.anonymous
    assert not with_role().anonymous
    assert not any(may(ANONYMOUS, BOOTS, action) for action in Action)


@pytest.mark.parametrize("admin", [True, False])
def test_a_token_narrows_what_roles_allow(admin: bool) -> None:
    roles = {"shoes": frozenset({"member"})}
    principal = Principal("1", "a", roles, admin, {BOOTS: frozenset({PULL, PUSH})})
    assert [action for action in Action if allowed(principal, BOOTS, action)] == [PULL, PUSH]
    assert not allowed(principal, RepositoryName("shoes", "sandals"), PULL)
    assert may(principal, RepositoryName("shoes", "sandals"), PULL)


def test_a_token_never_widens_them() -> None:
    grants = {BOOTS: frozenset(Action), STRAW: frozenset(Action)}
    principal = Principal("1", "a", {"shoes": frozenset({"reader"})}, grants=grants)
    assert [action for action in Action if allowed(principal, BOOTS, action)] == [PULL]
    assert not any(allowed(principal, STRAW, action) for action in Action)


@pytest.mark.parametrize(
    ("role", "expected"),
    [("reader", False), ("member", False), ("manager", True), ("admin", True), ("other", False)],
)
def test_managers_and_administrators_share(role: str, expected: bool) -> None:
    assert may_share(with_role(role), "shoes") is expected
    assert may_share(with_role(role), "hats") is False
    assert may_share(Principal("1", "root", admin=True), "hats")


def test_a_catalogue_shows_the_projects_that_may_be_pulled() -> None:
    roles = {
        "shoes": frozenset({"reader"}),
        "hats": frozenset({"owner"}),
        "coats": frozenset({"member", "owner"}),
        "gloves": frozenset[str](),
    }
    principal = Principal("1", "a", roles)
    assert readable_projects(principal, frozenset()) == frozenset({"shoes", "coats"})
    assert readable_projects(principal, frozenset({"open"})) == frozenset(
        {"shoes", "coats", "open"}
    )
    assert readable_projects(ANONYMOUS, frozenset({"open"})) == frozenset({"open"})
    assert readable_projects(Principal("1", "root", admin=True), frozenset()) is None
