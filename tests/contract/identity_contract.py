"""What every Identity promises, sentence by sentence."""

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from registry.auth import policy
from registry.auth.ports import EVERYWHERE, NOWHERE, Action, Identity, Reach
from registry.oci.errors import StorageUnavailable, TooManyRequests, Unauthorized
from registry.oci.names import RepositoryName


@dataclass(frozen=True)
class People:
    """Who is known: user names, all with the same password, and two projects."""

    member: str
    """Of *own*; has no role in *other*."""
    reader: str
    """Of *own*."""
    nobody: str
    """Has no role anywhere."""
    administrator: str
    """Has a role in neither project."""
    word: str
    own: str
    """As it is typed."""
    own_id: str
    other: str
    other_id: str
    outage: AbstractContextManager[object]
    """While it is entered, whatever knows people does not answer."""

    @property
    def reach(self) -> Reach:
        return Reach(frozenset({self.own}))


class IdentityContract:
    """Subclass, give the fixtures ``identity`` and ``people``, inherit the tests."""

    async def test_right_credentials_give_the_roles_within_the_reach(
        self, identity: Identity, people: People
    ) -> None:
        for reach in (people.reach, EVERYWHERE):
            member = await identity.authenticate(people.member, people.word, reach)
            reader = await identity.authenticate(people.reader, people.word, reach)
            assert not member.anonymous
            assert not member.admin
            repository = RepositoryName(people.own_id, "app")
            assert [policy.may(member, repository, each) for each in Action] == [True] * 3
            assert [policy.may(reader, repository, each) for each in Action] == [True, False, False]

    async def test_outside_of_his_projects_a_member_may_nothing(
        self, identity: Identity, people: People
    ) -> None:
        for reach in (Reach(frozenset({people.own, people.other})), EVERYWHERE, NOWHERE):
            member = await identity.authenticate(people.member, people.word, reach)
            for each in Action:
                assert not policy.may(member, RepositoryName(people.other_id, "app"), each)

    async def test_somebody_without_roles_is_known_and_may_do_nothing(
        self, identity: Identity, people: People
    ) -> None:
        for reach in (people.reach, EVERYWHERE):
            nobody = await identity.authenticate(people.nobody, people.word, reach)
            assert not nobody.anonymous
            assert policy.readable_projects(nobody, frozenset()) == frozenset()

    async def test_an_administrator_crosses_projects(
        self, identity: Identity, people: People
    ) -> None:
        for reach in (people.reach, EVERYWHERE):
            root = await identity.authenticate(people.administrator, people.word, reach)
            assert root.admin
            assert policy.may(root, RepositoryName(people.own_id, "app"), Action.DELETE)

    async def test_a_subject_is_one_persons_and_stays(
        self, identity: Identity, people: People
    ) -> None:
        names = (people.member, people.reader, people.nobody, people.administrator)
        subjects = [
            [(await identity.authenticate(name, people.word, reach)).subject for name in names]
            for reach in (NOWHERE, people.reach, EVERYWHERE)
        ]
        assert len(set(subjects[0])) == len(names)
        assert subjects[0] == subjects[1] == subjects[2]

    async def test_what_is_wrong_is_told_apart_from_nothing(
        self, identity: Identity, people: People
    ) -> None:
        told = set()
        for name, word in (
            (people.member, "wrong"),
            (people.member, people.word + "x"),
            (people.member, people.word[:-1]),
            ("no such person", people.word),
            ("é/è@ê", people.word),
            ("x" * 500, "y" * 5000),
        ):
            with pytest.raises(Unauthorized) as caught:
                await identity.authenticate(name, word)
            told.add(caught.value.detail)
        assert len(told) == 1

    async def test_guesses_that_come_too_fast_are_slowed_down(
        self, identity: Identity, people: People
    ) -> None:
        guesses = [identity.authenticate(people.nobody, f"guess {n}") for n in range(12)]
        told = [type(each) for each in await asyncio.gather(*guesses, return_exceptions=True)]
        assert (told.count(Unauthorized), told.count(TooManyRequests)) == (5, 7)
        with pytest.raises(TooManyRequests) as caught:
            await identity.authenticate(people.nobody, people.word)
        assert int(caught.value.headers["Retry-After"]) > 0
        assert not (await identity.authenticate(people.member, people.word)).anonymous

    async def test_who_signs_in_many_times_at_once_is_the_same(
        self, identity: Identity, people: People
    ) -> None:
        asked = [identity.authenticate(people.member, people.word, people.reach) for _ in range(20)]
        assert len({repr(each) for each in await asyncio.gather(*asked)}) == 1

    async def test_nothing_secret_shows(self, identity: Identity, people: People) -> None:
        member = await identity.authenticate(people.member, people.word)
        secrets = [people.word, member.proof, *member.cloud_tokens.values()]
        assert not any(secret in repr(member) for secret in secrets if secret)

    @pytest.mark.parametrize("token", ["", "x", "é", "a\r\nX-Auth-Token: b", "gAAAAAB" + "x" * 180])
    async def test_a_token_that_nobody_gave_is_refused(
        self, identity: Identity, token: str
    ) -> None:
        for anew in (False, True):
            with pytest.raises(Unauthorized):
                await identity.verify(token, anew=anew)

    async def test_whom_a_token_spoke_for_can_be_found_and_no_stranger(
        self, identity: Identity, people: People
    ) -> None:
        member = await identity.authenticate(people.member, people.word, people.reach)
        found = await identity.find_principal(member.subject, member)
        assert (found.subject, found.roles) == (member.subject, member.roles)
        with pytest.raises(Unauthorized):
            await identity.find_principal("nobody's subject")

    async def test_in_an_outage_nobody_new_is_refused_or_let_in(
        self, identity: Identity, people: People
    ) -> None:
        with people.outage:
            for word in (people.word, "wrong"):
                with pytest.raises(StorageUnavailable) as caught:
                    await identity.authenticate(people.reader, word)
                assert int(caught.value.headers["Retry-After"]) > 0
