"""Upload sessions in a dict: the model of a ledger's."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from registry.oci.digest import Digest
from registry.oci.errors import BlobUploadUnknown, RangeInvalid, UploadBusy
from registry.oci.names import RepositoryName
from registry.storage.records import Segment, Upload

REMEMBERED = 3600.0
"""Seconds for which a finished session is known."""


@dataclass(slots=True)
class _Session:
    upload: Upload
    lease_until: float = 0.0
    finished_at: float = 0.0


class Sessions:
    """Every session by id, with its lease."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    def begin(self, upload: Upload) -> None:
        """Know a new session."""
        self._sessions[upload.id] = _Session(upload)

    def find(self, repository: RepositoryName, upload: str) -> Upload:
        """As in Ledger.find_upload."""
        return self._find(repository, upload).upload

    def lease(
        self, repository: RepositoryName, upload: str, at: int | None, seconds: float
    ) -> Upload:
        """As in Ledger.lease_upload."""
        session = self._find_open(repository, upload)
        if session.lease_until > self._clock():
            raise UploadBusy("another request is writing to this upload")
        if at not in {None, session.upload.offset}:
            raise RangeInvalid(f"the upload has {session.upload.offset} bytes")
        session.upload = replace(session.upload, epoch=session.upload.epoch + 1)
        session.lease_until = self._clock() + seconds
        return session.upload

    def record(self, upload: Upload, segment: Segment, seconds: float) -> Upload:
        """As in Ledger.record_segment."""
        session = self._held(upload)
        if session.upload.offset != upload.offset:
            raise UploadBusy("another request has written to this upload")
        kept = upload.segments
        if kept and kept[-1].name == segment.name:
            kept = kept[:-1]
        segments = (*kept, segment)
        offset = sum(each.size for each in segments)
        session.upload = replace(session.upload, offset=offset, segments=segments)
        session.lease_until = self._clock() + seconds
        return session.upload

    def release(self, upload: Upload) -> None:
        """As in Ledger.release_upload."""
        session = self._sessions.get(upload.id)
        if session is not None and session.upload.epoch == upload.epoch:
            session.lease_until = 0.0

    def cancel(self, repository: RepositoryName, upload: str) -> None:
        """As in Ledger.cancel_upload."""
        del self._sessions[self._find_open(repository, upload).upload.id]

    def finish(self, upload: Upload, digest: Digest) -> None:
        """End a session, by its one writer; raises UploadBusy."""
        session = self._held(upload)
        session.upload = replace(session.upload, finished=digest, segments=())
        session.finished_at = self._clock()

    def _held(self, upload: Upload) -> _Session:
        session = self._sessions.get(upload.id)
        if session is None or session.upload.epoch != upload.epoch or session.upload.finished:
            raise UploadBusy("another request has taken this upload over")
        return session

    def _find_open(self, repository: RepositoryName, upload: str) -> _Session:
        session = self._find(repository, upload)
        if session.upload.finished is not None:
            raise BlobUploadUnknown("the upload was finished")
        return session

    def _find(self, repository: RepositoryName, upload: str) -> _Session:
        session = self._sessions.get(upload)
        if (
            session is None
            or session.upload.repository != repository
            or (session.upload.finished and session.finished_at < self._clock() - REMEMBERED)
        ):
            raise BlobUploadUnknown("no such upload in this repository; begin a new one")
        return session
