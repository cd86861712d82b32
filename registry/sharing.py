"""Rules of who sees an image record, and who may say so (Image API v2, "Image sharing")."""

import dataclasses
from collections.abc import Set as AbstractSet

from registry import management
from registry.auth import policy
from registry.auth.ports import Action, Principal
from registry.oci.errors import Denied, ManifestUnknown, Unsupported
from registry.oci.names import RepositoryName, Tag
from registry.storage.ports.ledger import Ledger
from registry.storage.records import ImageRecord, Member
from registry.storage.sharing import PENDING, Answer, Invitation, Visibility, Withdrawal
from registry.storage.storage import Storage

VISIBILITIES = frozenset({"private", "shared", "community", "public"})
STATUSES = frozenset({PENDING, "accepted", "rejected"})


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the projects whose records they see; None: all."""

    principal: Principal
    projects: AbstractSet[str] | None

    def owns(self, record: ImageRecord) -> bool:
        """Whether the record is of one of the caller's own projects."""
        return self.projects is None or record.project in self.projects

    def is_of(self, project: str) -> bool:
        """Whether the caller may speak for *project*."""
        return self.projects is None or bool(self.principal.roles.get(project))


@dataclasses.dataclass(frozen=True, slots=True)
class Membership:
    """A record, and one project that it is shared with."""

    record: ImageRecord
    member: Member


async def find(storage: Storage, caller: Caller, record_id: str) -> ImageRecord:
    """The record, if the caller sees it; raises ManifestUnknown, also where it is hidden."""
    record = await storage.ledger.find_record(record_id)
    if await is_seen(storage.ledger, caller, record):
        return record
    raise ManifestUnknown("there is no such image record")


async def is_seen(ledger: Ledger, caller: Caller, record: ImageRecord) -> bool:
    """Whether the caller sees the record by its id: one who accepted nothing yet does, too."""
    if caller.owns(record) or record.visibility == "public":
        return True
    if caller.principal.anonymous:
        return False
    if record.visibility != "shared":
        return record.visibility == "community"
    return any(caller.is_of(each.project) for each in await ledger.list_members(record.id))


async def is_listed(storage: Storage, caller: Caller, record: ImageRecord) -> bool:
    """Whether a list shows the record: others' only if public, or shared and accepted."""
    if caller.owns(record) or record.visibility == "public":
        return True
    if record.visibility != "shared":
        return False
    members = await storage.ledger.list_members(record.id)
    return any(caller.is_of(each.project) and each.status == "accepted" for each in members)


async def untag(storage: Storage, caller: Caller, record: ImageRecord) -> None:
    """End a tag's record by removing the tag; raises Denied for any other record."""
    if record.kind != "tag":
        raise Denied(f"a {record.kind} record is protected: it ends with the last tag that has it")
    repository = RepositoryName(record.project, record.properties["oci_repository"])
    if not policy.allowed(caller.principal, repository, Action.DELETE):
        raise Denied(
            f"deleting needs the role member in {record.project}, and of a token that scope"
        )
    tag = Tag.parse(record.properties["oci_tag"])
    await management.delete_tag(storage, repository, tag)


async def set_visibility(
    storage: Storage, caller: Caller, record: ImageRecord, visibility: str
) -> ImageRecord:
    """The record as it is then. Raises Unsupported for an unknown word, and Denied."""
    if visibility not in VISIBILITIES:
        raise Unsupported(f"visibility must be one of {', '.join(sorted(VISIBILITIES))}")
    _require_sharer(caller, record)
    shared = await storage.ledger.share_record(record.id, Visibility(visibility))
    await storage.flusher.flush(shared.position)
    return shared.record


async def list_members(storage: Storage, caller: Caller, record: ImageRecord) -> list[Member]:
    """All members for the owner's project; for a member itself alone. Raises ManifestUnknown."""
    if record.visibility != "shared":
        raise ManifestUnknown("only a shared image has members")
    members = await storage.ledger.list_members(record.id)
    if caller.is_of(record.project):
        return members
    return [each for each in members if caller.is_of(each.project)]


async def find_member(
    storage: Storage, caller: Caller, record: ImageRecord, project: str
) -> Membership:
    """Raises ManifestUnknown."""
    for member in await list_members(storage, caller, record):
        if member.project == project:
            return Membership(record, member)
    raise ManifestUnknown("there is no such member of this image")


async def add_member(
    storage: Storage, caller: Caller, record: ImageRecord, project: str
) -> Membership:
    """Share with *project*, which must accept it to see it listed.

    Raises MemberTaken where it is one already, and Denied, also where the image is not shared or
    has too many members.
    """
    _require_sharer(caller, record)
    shared = await storage.ledger.share_record(record.id, Invitation(project))
    await storage.flusher.flush(shared.position)
    return Membership(shared.record, Member(project, PENDING))


async def answer_member(
    storage: Storage, caller: Caller, record: ImageRecord, project: str, status: str
) -> Membership:
    """Accept or reject: the member alone does. Raises Unsupported, Denied, ManifestUnknown."""
    if status not in STATUSES:
        raise Unsupported(f"status must be one of {', '.join(sorted(STATUSES))}")
    _require_no_token(caller)
    await find_member(storage, caller, record, project)
    if not caller.is_of(project):
        raise Denied(f"only {project} itself may accept or reject the image")
    answer = Member(project, status)
    shared = await storage.ledger.share_record(record.id, Answer(answer))
    await storage.flusher.flush(shared.position)
    return Membership(shared.record, answer)


async def remove_member(
    storage: Storage, caller: Caller, record: ImageRecord, project: str
) -> None:
    """Share with *project* no longer. Raises Denied and ManifestUnknown."""
    _require_sharer(caller, record)
    await find_member(storage, caller, record, project)
    shared = await storage.ledger.share_record(record.id, Withdrawal(project))
    await storage.flusher.flush(shared.position)


def _require_sharer(caller: Caller, record: ImageRecord) -> None:
    _require_no_token(caller)
    if not policy.may_share(caller.principal, record.project):
        raise Denied(f"saying who sees an image needs the role manager in {record.project}")


def _require_no_token(caller: Caller) -> None:
    """A token is good for its scope alone, and no scope is about sharing."""
    if caller.principal.grants is not None:
        raise Denied("the token is for pulling and pushing: share with user and password")
