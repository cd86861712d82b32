"""Who sees an image record, and how that changes: the one place of the rule, for every ledger."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self, assert_never

from registry.oci.errors import Denied, ManifestUnknown, MemberTaken
from registry.oci.names import RepositoryName
from registry.storage.changes import Change, RecordState
from registry.storage.records import Member

MEMBERS_LIMIT: Final = 128
"""Projects that one image may be shared with (Glance: image_member_quota)."""
PENDING: Final = "pending"
"""What a member says that has not answered yet: in Glance, too, each new one."""
Members = tuple[tuple[str, str], ...]
"""(project, status), by project."""


class Changed(Exception):
    """The record is not the one any more that was looked at."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who sees a record beside its own project."""

    visibility: str
    members: Members = ()
    """Empty where the visibility is not ``shared``."""

    @classmethod
    def of(cls, visibility: str, members: Iterable[tuple[str, str]]) -> Self:
        """Members count only where the visibility is ``shared``."""
        return cls(visibility, tuple(sorted(members)) if visibility == "shared" else ())

    @classmethod
    def of_state(cls, state: RecordState) -> Self:
        """As the ledger has it."""
        return cls.of(state.record.visibility, state.members)


@dataclass(frozen=True, slots=True)
class Visibility:
    """The record becomes ``private``, ``shared``, ``community`` or ``public``."""

    word: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """A shared record is shared with *project* too, which has not answered yet."""

    project: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a member says itself."""

    member: Member


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The record is shared with *project* no more."""

    project: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """The image service says so already, and whoever replays it knows that."""

    sharing: Sharing
    version: int | None = None
    """The record's, if it was seen only to be so of that one."""


SharingChange = Visibility | Invitation | Answer | Withdrawal | Agreement


def share(state: RecordState, now: float, how: SharingChange) -> Change:
    """The change as in Ledger.share_record, which keeps others from changing *state*. Pure.

    Members are kept while the visibility is another than ``shared``. Raises what that raises.
    """
    record, members = state.record, dict(state.members)
    visibility = record.visibility
    match how:
        case Visibility(word):
            visibility = word
        case Invitation(project):
            _require_place(visibility, members, project)
            members[project] = PENDING
        case Answer(Member(project, status)):
            if project not in members:
                raise ManifestUnknown("there is no such member of this image")
            members[project] = status
        case Withdrawal(project):
            members.pop(project, None)
        case Agreement(sharing, version):
            if version not in {None, record.version}:
                raise Changed(record.id)
            visibility = sharing.visibility
            members = dict(sharing.members) if visibility == "shared" else members
        case _:
            assert_never(how)
    newer = replace(record, visibility=visibility, updated_at=now, version=record.version + 1)
    return Change(
        op="share",
        repository=RepositoryName(record.project, record.properties.get("oci_repository", "")),
        at=now,
        records=(replace(state, record=newer, members=tuple(sorted(members.items()))),),
        agreed=isinstance(how, Agreement),
    )


def untold(
    known: tuple[Sharing, ...], before: RecordState | None, after: RecordState, *, agreed: bool
) -> tuple[Sharing, ...]:
    """Whom the image service may still show a record to, once a line made it *after*. Pure.

    *known* are those of the lines before. The first is what it was when it was *agreed* last, or
    made; then comes what was said of it since. Empty where all that was said has arrived.
    """
    if agreed:
        return ()
    now = Sharing.of_state(after)
    if before is None:
        return known or tuple(Sharing(*each) for each in after.untold)
    was = Sharing.of_state(before)
    return known if was == now else (*(known or (was,)), now)


def shared_anew(
    kept: Members, tried: Sequence[Sharing], there: Mapping[str, str], ours: Members
) -> Members:
    """The members of a record that is shared again, where both sides may have changed them. Pure.

    The image service tells members of shared images only. *kept* are those that the image had when
    it was shared last, *there* those that it has now. What is not as it was kept, nor as one of
    *tried* may have left it, was said out there: it holds, but whom one of both sides took away
    stays away.
    """
    was, wanted = dict(kept), dict(ours)
    attempts = [dict(each.members) for each in tried if each.visibility == "shared"]
    members: dict[str, str] = {}
    for project in there.keys() | wanted.keys():
        left = {was.get(project), *(each.get(project) for each in attempts)}
        left |= {PENDING for each in attempts if project in each}
        said, present = wanted.get(project), there.get(project)
        if present not in left and (said == was.get(project) or None not in {said, present}):
            said = present
        elif present not in left:
            said = None
        if said is not None:
            members[project] = said
    return tuple(sorted(members.items()))


def may_be_left(
    seen: Sharing, agreed: Sharing | None, kept: Members, tried: Sequence[Sharing]
) -> bool:
    """Whether *seen* in the image service is as *agreed*, or what broken-off attempts left of it.

    *tried* is what they were to bring. An attempt changes the visibility, then takes members away,
    then adds the others, who are pending before they are more. *kept* are the members that the
    image had when it was shared last, and has again as soon as it is shared.
    """
    known = tried if agreed is None else (agreed, *tried)
    if seen.visibility not in {each.visibility for each in known}:
        return False
    if seen.visibility != "shared":
        return True
    ours = {*kept, *(member for each in known for member in each.members)}
    ours |= {(project, PENDING) for each in tried for project, _ in each.members}
    if not ours.issuperset(seen.members):
        return False
    if agreed is None or agreed.visibility != "shared":
        return True
    gone = dict(agreed.members).keys() - dict(seen.members).keys()
    return all(any(project not in dict(each.members) for each in tried) for project in gone)


def _require_place(visibility: str, members: dict[str, str], project: str) -> None:
    if visibility != "shared":
        raise Denied("only an image of visibility shared can have members")
    if project in members:
        raise MemberTaken(f"the image is shared with {project} already")
    if len(members) >= MEMBERS_LIMIT:
        raise Denied(f"an image has at most {MEMBERS_LIMIT} members")
