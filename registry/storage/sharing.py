"""Who sees an image record, and how that changes: the one place of the rule, for every ledger."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self, assert_never

from registry.oci.errors import Denied, ManifestUnknown, MemberTaken
from registry.oci.names import RepositoryName
from registry.storage.changes import Change, RecordState
from registry.storage.records import Member

MEMBERS_LIMIT: Final = 128
"""Projects that one image may be shared with (Glance: image_member_quota)."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who sees a record beside its own project."""

    visibility: str
    members: tuple[tuple[str, str], ...] = ()
    """(project, status), by project; empty where the visibility is not ``shared``."""

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


SharingChange = Visibility | Invitation | Answer | Withdrawal | Agreement


def share(state: RecordState, now: float, how: SharingChange) -> Change:
    """The change as in Ledger.share_record, which keeps others from changing *state*. Pure.

    Members are kept while the visibility is another than ``shared``.
    """
    record, members = state.record, dict(state.members)
    visibility = record.visibility
    match how:
        case Visibility(word):
            visibility = word
        case Invitation(project):
            _require_place(visibility, members, project)
            members[project] = "pending"
        case Answer(Member(project, status)):
            if project not in members:
                raise ManifestUnknown("there is no such member of this image")
            members[project] = status
        case Withdrawal(project):
            members.pop(project, None)
        case Agreement(sharing):
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


def _require_place(visibility: str, members: dict[str, str], project: str) -> None:
    if visibility != "shared":
        raise Denied("only an image of visibility shared can have members")
    if project in members:
        raise MemberTaken(f"the image is shared with {project} already")
    if len(members) >= MEMBERS_LIMIT:
        raise Denied(f"an image has at most {MEMBERS_LIMIT} members")
