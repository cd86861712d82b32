"""Tokens of our own are read, whatever keys come and go; those of others never are."""

import json
from base64 import urlsafe_b64decode

import jwt
import pytest

from registry.auth import tokens as tokens_module
from registry.auth.tokens import KEEP, REFRESH_SECONDS, ROTATE_AFTER, Tokens
from registry.oci.errors import Unauthorized
from registry.storage.memory.ledger import MemoryLedger
from support.ledgers import Clock
from support.signing import BAD_TOKENS, ISSUER, SERVICE, Forger, start_tokens

ACCESS = [{"type": "repository", "name": "shoes/app", "actions": ["pull"]}]


async def test_a_token_says_whose_it_is_and_what_it_is_good_for(
    tokens: Tokens, clock: Clock
) -> None:
    claims = await tokens.read(tokens.issue("alice", ACCESS))
    assert (claims.subject, claims.access) == ("alice", ACCESS)
    assert claims.expires_at == clock.now + 300
    assert (await tokens.read(tokens.issue("", []))).subject == ""


async def test_a_token_is_of_dockers_form_and_holds_nothing_more(
    tokens: Tokens, clock: Clock
) -> None:
    issued = tokens.issue("alice", ACCESS)
    header, payload = (json.loads(urlsafe_b64decode(f"{w}==")) for w in issued.split(".")[:2])
    assert header == {"alg": "ES256", "typ": "JWT", "kid": tokens.jwks()["keys"][0]["kid"]}
    now = int(clock.now)
    assert payload.pop("jti")
    assert payload == {
        "iss": ISSUER,
        "aud": SERVICE,
        "sub": "alice",
        "access": ACCESS,
        "iat": now,
        "nbf": now,
        "exp": now + 300,
    }


async def test_two_tokens_are_never_the_same(tokens: Tokens) -> None:
    assert tokens.issue("alice", ACCESS) != tokens.issue("alice", ACCESS)


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_what_is_no_access_token_is_refused(
    tokens: Tokens, keys: MemoryLedger, clock: Clock, kind: str
) -> None:
    bad = BAD_TOKENS[kind](await Forger.of(keys, clock.now, ACCESS))
    for _ in range(2):  # a refusal is not remembered as anything else
        with pytest.raises(Unauthorized):
            await tokens.read(bad)
    with pytest.raises(Unauthorized):
        await tokens.read_refresh(bad if kind != "a refresh token" else "")
    assert (await tokens.read((await Forger.of(keys, clock.now)).sign())).subject == "alice"


@pytest.mark.parametrize("kind", [kind for kind in BAD_TOKENS if not kind.startswith("expire")])
async def test_where_expired_tokens_are_asked_for_no_other_bad_one_gets_by(
    tokens: Tokens, keys: MemoryLedger, clock: Clock, kind: str
) -> None:
    with pytest.raises(Unauthorized):
        await tokens.read(BAD_TOKENS[kind](await Forger.of(keys, clock.now)), expired=True)


async def test_a_token_ends_even_if_it_was_read_before(tokens: Tokens, clock: Clock) -> None:
    issued = tokens.issue("alice", ACCESS)
    clock.now += 299
    expires_at = (await tokens.read(issued)).expires_at
    assert not tokens.is_past(expires_at)
    clock.now += 1
    assert tokens.is_past(expires_at)
    with pytest.raises(Unauthorized, match="expired"):
        await tokens.read(issued)
    assert (await tokens.read(issued, expired=True)).subject == "alice"


async def test_clocks_may_differ_by_a_minute(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    ahead = (await Forger.of(keys, clock.now + 59)).sign()
    assert (await tokens.read(ahead)).subject == "alice"
    with pytest.raises(Unauthorized, match="not good yet"):
        await tokens.read((await Forger.of(keys, clock.now + 61)).sign())


async def test_tokens_of_another_store_or_service_are_refused(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    for other in (
        await start_tokens(keys, clock, issuer="store-2"),
        await start_tokens(keys, clock, service="other.example"),
        await start_tokens(keys, clock, service=f"{SERVICE}/refresh"),
        await start_tokens(MemoryLedger(clock=clock), clock),
    ):
        with pytest.raises(Unauthorized):
            await tokens.read(other.issue("alice", ACCESS))


async def test_only_so_many_tokens_are_remembered(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "REMEMBERED", 2)
    issued = [tokens.issue(f"user{number}", []) for number in range(5)]
    for _ in range(2):
        for number, each in enumerate(issued):
            assert (await tokens.read(each)).subject == f"user{number}"
    assert len(tokens._known) == 2


# -- keys ---------------------------------------------------------------------------------------


async def test_a_start_makes_one_key_and_the_next_start_none(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    issued = tokens.issue("alice", [])
    again = await start_tokens(keys, clock)
    assert len(await keys.load_keys()) == 1
    assert (await again.read(issued)).subject == "alice"


async def test_an_old_keys_tokens_are_good_until_they_end(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    clock.now += ROTATE_AFTER
    await tokens.rotate()
    assert len(await keys.load_keys()) == 1
    old = tokens.issue("alice", ACCESS)
    refresh = tokens.issue_refresh("alice")
    clock.now += 1
    await tokens.rotate()
    new = tokens.issue("alice", ACCESS)
    kids = [jwt.get_unverified_header(each)["kid"] for each in (old, new)]
    assert kids[0] != kids[1]
    assert sorted(key["kid"] for key in tokens.jwks()["keys"]) == sorted(kids)
    assert (await tokens.read(old)).subject == "alice"
    assert (await tokens.read(new)).subject == "alice"
    clock.now += REFRESH_SECONDS - 10
    await tokens.rotate()
    assert (await tokens.read_refresh(refresh)).subject == "alice"


async def test_a_key_is_dropped_once_nothing_that_it_signed_is_good(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    first = tokens.jwks()["keys"][0]["kid"]
    clock.now += KEEP
    await tokens.rotate()
    assert len(tokens.jwks()["keys"]) == 2
    clock.now += 1
    await tokens.rotate()
    assert first not in {key["kid"] for key in tokens.jwks()["keys"]}
    assert [kid for kid, _, _ in await keys.load_keys()] != [first]


async def test_a_key_that_another_process_made_is_found(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    clock.now += ROTATE_AFTER + 1
    other = await start_tokens(keys, clock)
    assert (await tokens.read(other.issue("alice", []))).subject == "alice"


async def test_unknown_kids_make_the_keys_be_loaded_once_a_second_at_most(
    tokens: Tokens, keys: MemoryLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    real = keys.load_keys

    async def load_keys() -> list[tuple[str, bytes, float]]:
        loads.append(clock.now)
        return await real()

    monkeypatch.setattr(keys, "load_keys", load_keys)
    forger = await Forger.of(keys, clock.now)
    loads.clear()
    clock.now += 2
    for number in range(20):
        with pytest.raises(Unauthorized):
            await tokens.read(forger.sign(header={"kid": f"kid{number}"}))
    assert len(loads) == 1


async def test_the_published_keys_verify_and_hold_nothing_secret(tokens: Tokens) -> None:
    (key,) = tokens.jwks()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    claims = jwt.decode(
        tokens.issue("alice", []),
        jwt.PyJWK(key),
        ["ES256"],
        audience=SERVICE,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert claims["sub"] == "alice"
    assert "private" not in repr(tokens._newest())


# -- refresh tokens -----------------------------------------------------------------------------


async def test_a_refresh_token_is_good_for_a_month_and_for_nothing_else(
    tokens: Tokens, clock: Clock
) -> None:
    refresh = tokens.issue_refresh("alice")
    with pytest.raises(Unauthorized):
        await tokens.read(refresh)
    with pytest.raises(Unauthorized):
        await tokens.read_refresh(tokens.issue("alice", ACCESS))
    clock.now += REFRESH_SECONDS - 1
    assert (await tokens.read_refresh(refresh)).subject == "alice"
    clock.now += 1
    with pytest.raises(Unauthorized, match="sign in again"):
        await tokens.read_refresh(refresh)


async def test_a_revoked_refresh_token_is_void_and_no_other_is(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    refresh, other = tokens.issue_refresh("alice"), tokens.issue_refresh("alice")
    for _ in range(2):
        await tokens.revoke(refresh)
    for process in (tokens, await start_tokens(keys, clock)):
        with pytest.raises(Unauthorized, match="sign in again"):
            await process.read_refresh(refresh)
        assert (await process.read_refresh(other)).subject == "alice"
    with pytest.raises(Unauthorized):
        await tokens.revoke(tokens.issue("alice", []))


async def test_no_token_outlives_the_credentials(tokens: Tokens, clock: Clock) -> None:
    until = clock.now + 100.5
    assert (tokens.lasts(None), tokens.lasts(until), tokens.lasts(clock.now - 1)) == (300, 100, 0)
    access = tokens.issue("alice", [], until=until)
    refresh = tokens.issue_refresh("alice", until=until)
    assert (await tokens.read(access)).expires_at <= until
    clock.now += 99
    assert (await tokens.read(access)).subject == "alice"
    assert (await tokens.read_refresh(refresh)).subject == "alice"
    clock.now += 1
    with pytest.raises(Unauthorized, match="expired"):
        await tokens.read(access)
    with pytest.raises(Unauthorized, match="sign in again"):
        await tokens.read_refresh(refresh)


async def test_a_refresh_token_holds_a_proof_that_only_the_registry_reads(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    refresh = tokens.issue_refresh("alice", proof="gAAAA-token")
    content = urlsafe_b64decode(refresh.split(".")[1] + "==")
    assert b"gAAAA" not in content
    other = await start_tokens(keys, clock)
    read = await other.read_refresh(refresh)
    assert (read.subject, read.proof) == ("alice", "gAAAA-token")
    assert "gAAAA" not in repr(read)
    clock.now += ROTATE_AFTER - 10
    late = tokens.issue_refresh("alice", proof="gAAAA-other")
    clock.now += 11
    await tokens.rotate()
    assert (await tokens.read_refresh(late)).proof == "gAAAA-other"
    assert (await tokens.read_refresh(tokens.issue_refresh("alice"))).proof is None
