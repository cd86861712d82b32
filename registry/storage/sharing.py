"""Who sees an image record, changed: the one place of the rule, for every ledger. Pure."""

from dataclasses import replace
from typing import Final

from registry.oci.errors import Denied, ManifestUnknown, MemberTaken
from registry.storage.changes import RecordState
from registry.storage.records import Member

MEMBERS_LIMIT: Final = 128
"""Projects that one image may be shared with (Glance: image_member_quota)."""


def share(
    state: RecordState,
    now: float,
    *,
    visibility: str | None,
    added: Member | None,
    removed: str | None,
    answer: Member | None,
    agreed: bool,
) -> RecordState:
    """*state* after Ledger.share_record, which holds whatever keeps others from changing it."""
    present = state.record
    visibility = visibility or present.visibility
    members = dict(state.members)
    if answer is not None:
        if answer.project not in members:
            raise ManifestUnknown("there is no such member of this image")
        members[answer.project] = answer.status
    if added is not None:
        if not agreed:
            _require_place(visibility, members, added.project)
        members[added.project] = added.status
    if removed is not None:
        members.pop(removed, None)
    newer = replace(present, visibility=visibility, updated_at=now, version=present.version + 1)
    return replace(state, record=newer, members=tuple(sorted(members.items())))


def _require_place(visibility: str, members: dict[str, str], project: str) -> None:
    if visibility != "shared":
        raise Denied("only an image of visibility shared can have members")
    if project in members:
        raise MemberTaken(f"the image is shared with {project} already")
    if len(members) >= MEMBERS_LIMIT:
        raise Denied(f"an image has at most {MEMBERS_LIMIT} members")
