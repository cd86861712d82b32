"""Users in a file: what it may hold, when it is read, and what guessing costs."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from registry.auth import guesses, htpasswd
from registry.auth.guesses import FORGET_FAILURES, FREE_FAILURES, SLOWEST
from registry.auth.htpasswd import HtpasswdIdentity
from registry.auth.policy import may
from registry.auth.ports import Action
from registry.oci.errors import StorageUnavailable, TooManyRequests, Unauthorized
from registry.oci.names import RepositoryName
from support.ledgers import Clock
from support.signing import hashed

ROLES = {"shoes": {"alice": "member", "root": "admin"}, "hats": {"alice": "reader"}}
RIGHT = "$2b$04$berthberthberthberthbepGoXDJ19TPZnUr8dY8AJ0igGe33tbTu"
"""Of the password ``right``; written out, so that the cases below have names that stay."""


class Checks:
    """Counts the checks by bcrypt, and keeps what they were made against."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[bytes] = []
        real = bcrypt.checkpw

        def check(given: bytes, against: bytes) -> bool:
            self.made.append(against)
            return real(given, against)

        monkeypatch.setattr(bcrypt, "checkpw", check)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    return Checks(monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "htpasswd"
    write(path, f"# people\n\nalice:{RIGHT}\n  root:{RIGHT}  \r\n")
    return path


@pytest.fixture
def identity(path: Path, clock: Clock) -> HtpasswdIdentity:
    return HtpasswdIdentity(path, ROLES, clock=clock)


def write(path: Path, text: str) -> None:
    path.write_text(text, errors="surrogateescape")


def replace(path: Path, old: str, new: str) -> None:
    """Put another file in its place, of the same size and with the same times."""
    before = path.stat()
    other = path.with_suffix(".new")
    write(other, path.read_text().replace(old, new))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


async def lets_in(identity: HtpasswdIdentity, user: str, word: str) -> bool:
    return (await identity.authenticate(user, word)).subject == user


async def fail(identity: HtpasswdIdentity, user: str, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Unauthorized, match="wrong user name or password"):
            await identity.authenticate(user, "guess")


async def test_a_right_password_gives_a_principal_with_its_roles(
    identity: HtpasswdIdentity,
) -> None:
    alice = await identity.authenticate("alice", "right")
    assert (alice.subject, alice.name, alice.admin) == ("alice", "alice", False)
    assert alice.roles == {"shoes": {"member"}, "hats": {"reader"}}
    assert (await identity.authenticate("root", "right")).admin
    assert await identity.find_principal("alice") == alice


async def test_somebody_without_roles_is_known_and_may_do_nothing(path: Path) -> None:
    nobody = await HtpasswdIdentity(path, {}).authenticate("alice", "right")
    assert (nobody.anonymous, nobody.roles) == (False, {})
    assert not may(nobody, RepositoryName("shoes", "x"), Action.PULL)


@pytest.mark.parametrize("word", ["", "wrong", "Right", "right ", "\0", "right\0", "é", "r" * 5000])
async def test_a_wrong_password_is_refused(identity: HtpasswdIdentity, word: str) -> None:
    with pytest.raises(Unauthorized, match="wrong user name or password"):
        await identity.authenticate("alice", word)


async def test_bytes_that_bcrypt_does_not_read_make_a_password_wrong(path: Path) -> None:
    longest = "x" * 72
    write(path, f"alice:{hashed(longest)}\n")
    identity = HtpasswdIdentity(path, ROLES)
    assert await lets_in(identity, "alice", longest)
    with pytest.raises(Unauthorized):
        await identity.authenticate("alice", longest + "x")


@pytest.mark.parametrize("user", ["", "bob", "Alice", "#", "alice\0", "é", "al" * 5000])
async def test_an_unknown_user_costs_what_a_known_one_does(
    identity: HtpasswdIdentity, checks: Checks, user: str
) -> None:
    await fail(identity, user)
    await fail(identity, "alice")
    unknown, known = checks.made
    assert unknown[:7] == known[:7] == RIGHT[:7].encode()


async def test_an_unknown_user_costs_the_same_each_time(path: Path, checks: Checks) -> None:
    lines = [f"user{n}:{hashed('x', 4 + n % 2)}\n" for n in range(10)]
    write(path, "".join(lines))
    identity = HtpasswdIdentity(path, ROLES)
    strangers = [f"stranger{n}" for n in range(20)]
    for user in strangers + strangers:
        await fail(identity, user)
    assert checks.made[:20] == checks.made[20:]
    assert {made[:7] for made in checks.made} == {b"$2b$04$", b"$2b$05$"}
    for made in checks.made:
        assert made.decode() not in "".join(lines)


async def test_an_empty_file_lets_nobody_in_at_the_same_cost(path: Path, checks: Checks) -> None:
    write(path, "")
    await fail(HtpasswdIdentity(path, ROLES), "alice")
    assert len(checks.made) == 1


async def test_a_right_password_needs_no_second_look_for_a_minute(
    identity: HtpasswdIdentity, checks: Checks, clock: Clock
) -> None:
    for _ in range(3):
        await identity.authenticate("alice", "right")
    assert len(checks.made) == 1
    clock.now += 61
    await identity.authenticate("alice", "right")
    assert len(checks.made) == 2


async def test_who_asks_many_times_at_once_is_looked_at_once(
    identity: HtpasswdIdentity, checks: Checks
) -> None:
    asked = [identity.authenticate("alice", "right") for _ in range(20)]
    assert len(await asyncio.gather(*asked)) == 20
    assert len(checks.made) == 1


async def test_what_is_remembered_is_bounded(
    identity: HtpasswdIdentity, monkeypatch: pytest.MonkeyPatch, checks: Checks
) -> None:
    for module in (htpasswd, guesses):
        monkeypatch.setattr(module, "REMEMBERED", 1)
    for user in ("alice", "root", "alice"):
        await identity.authenticate(user, "right")
    assert len(checks.made) == 3
    for user in ("alice", "bob", "alice"):
        await fail(identity, user, FREE_FAILURES)
    assert len(checks.made) == 3 + 3 * FREE_FAILURES


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        ":" + RIGHT,
        "alice:right",
        "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "alice:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/",
        "alice:" + RIGHT[:-1],
        "alice:" + RIGHT + "x",
        "alice:" + RIGHT.replace("$2b$04$", "$2x$04$"),
        "alice:" + RIGHT.replace("$04$", "$03$"),
        "alice:" + RIGHT.replace("$04$", "$32$"),
        "alice:" + RIGHT[:28] + "9" + RIGHT[29:],
        "alice:" + RIGHT[:40] + "é" + RIGHT[41:],
        "al\udcffice:" + RIGHT,
    ],
)
def test_a_malformed_line_is_named(path: Path, line: str) -> None:
    write(path, f"bob:{RIGHT}\n{line}\n")
    with pytest.raises(ValueError, match="line 2: must be user:bcrypt hash; make one with") as bad:
        HtpasswdIdentity(path, ROLES)
    assert str(path) in str(bad.value)
    assert RIGHT[10:] not in str(bad.value)


@pytest.mark.parametrize("kind", ["$2a$", "$2b$", "$2y$"])
async def test_every_kind_of_bcrypt_is_read(path: Path, kind: str) -> None:
    write(path, f"alice:{RIGHT.replace('$2b$', kind)}\n")
    assert await lets_in(HtpasswdIdentity(path, ROLES), "alice", "right")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none: No such file or directory"):
        HtpasswdIdentity(tmp_path / "none", ROLES)


async def test_a_changed_file_is_read_anew(identity: HtpasswdIdentity, path: Path) -> None:
    await identity.authenticate("alice", "right")
    with path.open("a") as file:
        file.write(f"bob:{hashed('new')}\n")
    assert (await identity.authenticate("bob", "new")).subject == "bob"
    write(path, f"alice:{hashed('changed')}\n")
    with pytest.raises(Unauthorized):
        await identity.authenticate("alice", "right")
    assert await lets_in(identity, "alice", "changed")
    with pytest.raises(Unauthorized, match="not known any more"):
        await identity.find_principal("bob")


async def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_anew(
    identity: HtpasswdIdentity, path: Path
) -> None:
    await identity.authenticate("alice", "right")
    replace(path, RIGHT, hashed("other"))
    with pytest.raises(Unauthorized):
        await identity.authenticate("alice", "right")


def spoil(path: Path) -> None:
    write(path, "alice:plain\n")


@pytest.mark.parametrize("harm", [Path.unlink, spoil])
async def test_a_file_spoilt_at_run_time_denies_nobody_and_lets_nobody_in(
    identity: HtpasswdIdentity, path: Path, harm: Callable[[Path], None]
) -> None:
    await identity.authenticate("alice", "right")
    harm(path)
    for asked in (identity.authenticate("alice", "right"), identity.find_principal("alice")):
        with pytest.raises(StorageUnavailable, match="the password file cannot be read"):
            await asked
    write(path, f"alice:{RIGHT}\n")
    assert await lets_in(identity, "alice", "right")


@pytest.mark.parametrize("user", ["alice", "stranger"])
async def test_guessing_is_slowed_down_more_and_more(
    identity: HtpasswdIdentity, clock: Clock, checks: Checks, user: str
) -> None:
    await fail(identity, user, FREE_FAILURES)
    waits = []
    for _ in range(8):
        made = len(checks.made)
        with pytest.raises(TooManyRequests) as caught:
            await identity.authenticate(user, "right")
        assert len(checks.made) == made
        waits.append(int(caught.value.headers["Retry-After"]))
        clock.now += waits[-1]
        await fail(identity, user)
    assert waits == [2, 3, 5, 9, 17, *[int(SLOWEST) + 1] * 3]


async def test_guessing_for_days_waits_no_longer(identity: HtpasswdIdentity, clock: Clock) -> None:
    identity._guesses._failures["alice"] = (100_000, clock.now)
    with pytest.raises(TooManyRequests):
        await identity.authenticate("alice", "right")
    clock.now += SLOWEST
    assert await lets_in(identity, "alice", "right")


async def test_guesses_side_by_side_are_slowed_down_too(
    identity: HtpasswdIdentity, checks: Checks
) -> None:
    guesses = [identity.authenticate("alice", f"guess {n}") for n in range(50)]
    told = [type(each) for each in await asyncio.gather(*guesses, return_exceptions=True)]
    assert told.count(Unauthorized) == len(checks.made) == FREE_FAILURES
    assert told.count(TooManyRequests) == 50 - FREE_FAILURES


async def test_others_and_who_has_signed_in_go_on_while_a_password_is_guessed(
    identity: HtpasswdIdentity,
) -> None:
    await identity.authenticate("alice", "right")
    await fail(identity, "alice", FREE_FAILURES)
    assert await lets_in(identity, "root", "right")
    assert await lets_in(identity, "alice", "right")


async def test_a_right_password_and_a_quarter_of_an_hour_are_fresh_starts(
    identity: HtpasswdIdentity, clock: Clock
) -> None:
    await fail(identity, "alice", FREE_FAILURES - 1)
    await identity.authenticate("alice", "right")
    await fail(identity, "alice", FREE_FAILURES)
    clock.now += FORGET_FAILURES + 1
    await fail(identity, "alice", FREE_FAILURES)
    with pytest.raises(TooManyRequests):
        await identity.authenticate("alice", "right")
