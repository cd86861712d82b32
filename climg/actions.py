"""Who sees an image: shared, published, and the contrary. Each answers what it did, in words."""

from typing import Protocol

from climg.errors import NotFound, Refused
from climg.records import Record


class Sharing(Protocol):
    """What is asked of the image service. Raises Refused, NotFound and Unavailable."""

    def set_visibility(self, record: str, visibility: str) -> None:
        """Say who sees an image."""
        ...

    def members(self, record: str) -> dict[str, str]:
        """The projects that an image is shared with, and whether they accepted it."""
        ...

    def find_project(self, text: str) -> str:
        """The id of a project, by id or by name; raises NotFound."""
        ...

    def share(self, record: str, project: str) -> None:
        """Make *project* a member."""
        ...

    def unshare(self, record: str, project: str) -> None:
        """End a membership."""
        ...


def share(service: Sharing, record: Record, project: str) -> str:
    """Share *record* with *project*; once more changes nothing."""
    if record.visibility not in {"private", "shared"}:
        raise Refused(
            f"{record.label} is {record.visibility}: other projects see it as it is; "
            "to share it with some only, first image-publish --private"
        )
    other = service.find_project(project)
    if record.visibility == "private":
        service.set_visibility(record.id, "shared")
    if other not in service.members(record.id):
        service.share(record.id, other)
    return f"shared {record.label} with {project}"


def unshare(service: Sharing, record: Record, project: str) -> str:
    """Share *record* with *project* no longer; raises NotFound where it was not."""
    other = service.find_project(project)
    if other not in members(service, record):
        raise NotFound(
            f"{record.label} is not shared with {project}; climg image-show tells with whom it is"
        )
    service.unshare(record.id, other)
    return f"{record.label} is not shared with {project} any more"


def publish(service: Sharing, record: Record, visibility: str) -> str:
    """Let everybody see *record* (public), all projects (community), or only its own (private)."""
    if record.visibility != visibility:
        service.set_visibility(record.id, visibility)
    return f"{record.label} is {visibility}"


def members(service: Sharing, record: Record) -> dict[str, str]:
    """Whom *record* is shared with, and whether they accepted it; empty where nobody may ask."""
    if record.visibility != "shared":
        return {}
    try:
        return service.members(record.id)
    except (NotFound, Refused):
        return {}
