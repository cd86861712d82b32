"""An upload's address goes on being good: for one upload, one person, one day."""

import pytest

from registry.auth.tokens import CAPABILITY_SECONDS, Tokens
from registry.storage.memory.ledger import MemoryLedger
from support.ledgers import Clock
from support.signing import start_tokens

SESSION = ("upload-1", "shoes/app", "alice")


async def test_a_capability_is_good_for_a_day(tokens: Tokens, clock: Clock) -> None:
    state = tokens.seal_upload(*SESSION)
    clock.now += CAPABILITY_SECONDS - 1
    assert await tokens.check_upload(state, *SESSION)
    clock.now += 1
    assert not await tokens.check_upload(state, *SESSION)


@pytest.mark.parametrize(
    "other",
    [
        ("upload-2", "shoes/app", "alice"),
        ("upload-1", "shoes/other", "alice"),
        ("upload-1", "shoes/app", "bob"),
        ("upload-1", "shoes/app", ""),
        ("upload-1\0shoes/app", "alice", ""),
    ],
)
async def test_a_capability_is_good_for_one_upload_of_one_person_alone(
    tokens: Tokens, other: tuple[str, str, str]
) -> None:
    assert not await tokens.check_upload(tokens.seal_upload(*SESSION), *other)


async def test_a_capability_of_another_store_is_void(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    for other in (
        await start_tokens(keys, clock, issuer="store-2"),
        await start_tokens(MemoryLedger(clock=clock), clock),
    ):
        assert not await tokens.check_upload(other.seal_upload(*SESSION), *SESSION)


async def test_a_forged_capability_is_void(tokens: Tokens) -> None:
    kid, expiry, mac = tokens.seal_upload(*SESSION).split(".")
    later = str(int(expiry) + 1)
    for state in (
        "",
        ".",
        "..",
        kid,
        f"{kid}.{expiry}",
        f"{kid}.{expiry}.",
        f"{kid}.{expiry}.{mac[:-1]}",
        f"{kid}.{expiry}.{mac}=",
        f"{kid}.{expiry}.{mac}.",
        f"{kid}.{expiry}.é",
        f"{kid}.{later}.{mac}",
        f"{kid}.0{expiry}.{mac}",
        f"{kid}.-{expiry}.{mac}",
        f"{kid}.٣.{mac}",
        f"{kid}.{'9' * 5000}.{mac}",
        f"x{kid}.{expiry}.{mac}",
        f"../{kid}.{expiry}.{mac}",
        tokens.issue("alice", []),
    ):
        assert not await tokens.check_upload(state, *SESSION), state
    assert await tokens.check_upload(f"{kid}.{expiry}.{mac}", *SESSION)


async def test_a_capability_outlives_its_key_and_is_known_to_every_process(
    tokens: Tokens, keys: MemoryLedger, clock: Clock
) -> None:
    old = tokens.seal_upload(*SESSION)
    clock.now += CAPABILITY_SECONDS / 2
    await keys.store_key("newer", (await keys.load_keys())[0][1])
    other = await start_tokens(keys, clock)
    new = other.seal_upload(*SESSION)
    assert new.startswith("newer.")
    for process in (tokens, other):
        assert await process.check_upload(old, *SESSION)
        assert await process.check_upload(new, *SESSION)
