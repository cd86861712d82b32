"""What a token says of its subject is what was said when it was signed."""

from registry.auth import claims
from registry.auth.ports import Action, Principal
from registry.auth.tokens import Claims, Tokens
from registry.oci.names import RepositoryName
from support.ledgers import Clock

EAST = "0d7174fc008744f78f3994b5e4dfbbe1"
READ = frozenset({Action.PULL})


async def test_who_cannot_be_looked_up_later_is_described_and_read_again(
    tokens: Tokens, clock: Clock
) -> None:
    roles = {EAST: frozenset({"member", "reader"})}
    alice = Principal(
        "id-of-alice",
        "alice",
        roles,
        admin=True,
        projects={"east": EAST},
        expires_at=clock.now + 60,
        cloud_tokens={EAST: "gAAAA-scoped"},
        proof="gAAAA-proof",
    )
    repository = RepositoryName(EAST, "app/web")
    access = [claims.entry("east/app/web", repository, READ)]
    said = claims.describe(alice)
    signed = tokens.issue(alice.subject, access, until=alice.expires_at, principal=said)
    read = claims.read(await tokens.read(signed), "library")
    assert (read.subject, read.name, read.roles, read.admin) == (
        "id-of-alice",
        "alice",
        roles,
        True,
    )
    assert (read.grants, read.projects, read.catalogue) == (
        {repository: READ},
        {"east": EAST},
        False,
    )
    assert (read.cloud_tokens, read.proof) == ({}, None)
    assert "gAAAA" not in f"{alice} {said} {access} {read}"


def test_who_can_be_looked_up_is_not_described() -> None:
    assert claims.describe(Principal("alice", "alice", {"shoes": frozenset({"member"})})) is None


def test_a_token_of_before_has_no_ids_and_names_stand_for_themselves() -> None:
    access = [
        {"type": "repository", "name": "shoes/app", "actions": ["pull"]},
        {"type": "repository", "name": "shoes/app", "actions": ["push"]},
        {"type": "repository", "name": "app", "actions": ["pull"]},
        {"type": "registry", "name": "catalog", "actions": ["*"]},
    ]
    read = claims.read(Claims("alice", access, 1.0, "1"), "library")
    assert read.grants == {
        RepositoryName("shoes", "app"): {Action.PULL, Action.PUSH},
        RepositoryName("library", "app"): READ,
    }
    assert (read.name, read.roles, read.admin, read.catalogue) == ("alice", {}, False, True)
    nobody = claims.read(Claims("", access, 1.0, "1"), "library")
    assert (nobody.anonymous, nobody.catalogue) == (True, False)
