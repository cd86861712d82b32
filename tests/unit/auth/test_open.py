"""Where nobody signs in, everybody is the same and may do all."""

from registry.auth.open import ANYONE, OpenIdentity
from registry.auth.policy import allowed, readable_projects
from registry.auth.ports import Action
from registry.oci.names import RepositoryName


async def test_whoever_asks_is_anyone() -> None:
    identity = OpenIdentity()
    assert await identity.authenticate("", "") is ANYONE
    assert await identity.authenticate("alice", "guess") is ANYONE
    assert await identity.verify("token") is ANYONE
    assert await identity.find_principal("alice") is ANYONE


def test_anyone_may_do_everything() -> None:
    assert not ANYONE.anonymous
    assert all(allowed(ANYONE, RepositoryName("any", "app"), action) for action in Action)
    assert readable_projects(ANYONE, frozenset()) is None
