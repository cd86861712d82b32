"""One class per row of the distribution-spec's error table, and the answers HTTP itself needs."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar


class RegistryError(Exception):
    """What a client is told: the spec's code, an HTTP status, and a detail in plain words.

    *detail* says what was wrong, why, and what to do; it never holds a secret. *headers* go on the
    answer (``Retry-After``, ``Range``, ``WWW-Authenticate`` ...).
    """

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    message: ClassVar[str] = "the registry could not carry out the request"

    def __init__(self, detail: object = None, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(self.message if detail is None else f"{self.message}: {detail}")
        self.detail = detail
        self.headers = dict(headers or {})

    @property
    def told(self) -> str:
        """The message of this one error: clients show it, and seldom the detail."""
        return self.message

    @property
    def reason(self) -> str:
        """What a command says that has failed of it."""
        return str(self)


class BlobUnknown(RegistryError):
    """code-1. The blob is not in this repository, though another repository may hold it."""

    code = "BLOB_UNKNOWN"
    status = HTTPStatus.NOT_FOUND
    message = "blob unknown to registry"


class BlobUploadInvalid(RegistryError):
    """code-2. The upload cannot go on as asked."""

    code = "BLOB_UPLOAD_INVALID"
    status = HTTPStatus.BAD_REQUEST
    message = "blob upload invalid"


class UploadBusy(BlobUploadInvalid):
    """code-2. Another request is writing to the same upload at this moment."""

    status = HTTPStatus.CONFLICT


class RangeInvalid(BlobUploadInvalid):
    """code-2. A chunk does not start where the upload ends; nothing was appended."""

    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


class BlobUploadUnknown(RegistryError):
    """code-3. No such upload session: finished, cancelled, expired or never begun."""

    code = "BLOB_UPLOAD_UNKNOWN"
    status = HTTPStatus.NOT_FOUND
    message = "blob upload unknown to registry"


class DigestInvalid(RegistryError):
    """code-4. The digest is misspelt, of an unsupported algorithm, or not the content's."""

    code = "DIGEST_INVALID"
    status = HTTPStatus.BAD_REQUEST
    message = "provided digest did not match uploaded content"


class ManifestBlobUnknown(RegistryError):
    """code-5. The manifest names a blob or manifest that this repository does not hold."""

    code = "MANIFEST_BLOB_UNKNOWN"
    status = HTTPStatus.BAD_REQUEST
    message = "manifest references a manifest or blob unknown to registry"


class ManifestInvalid(RegistryError):
    """code-6. The manifest is not JSON, or not of the shape of its media type."""

    code = "MANIFEST_INVALID"
    status = HTTPStatus.BAD_REQUEST
    message = "manifest invalid"


class ManifestTooLarge(ManifestInvalid):
    """code-6. The manifest exceeds the limit (distribution-spec, "Pushing Manifests")."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class ManifestUnknown(RegistryError):
    """code-7. No manifest under this tag or digest in this repository."""

    code = "MANIFEST_UNKNOWN"
    status = HTTPStatus.NOT_FOUND
    message = "manifest unknown to registry"


class NameInvalid(RegistryError):
    """code-8. Not a repository name, or not a tag."""

    code = "NAME_INVALID"
    status = HTTPStatus.BAD_REQUEST
    message = "invalid repository name or tag"


class NameUnknown(RegistryError):
    """code-9. No such repository."""

    code = "NAME_UNKNOWN"
    status = HTTPStatus.NOT_FOUND
    message = "repository name not known to registry"


class SizeInvalid(RegistryError):
    """code-10. The length announced is not the length that came, or is out of bounds."""

    code = "SIZE_INVALID"
    status = HTTPStatus.BAD_REQUEST
    message = "provided length did not match content length"


class Unauthorized(RegistryError):
    """code-11. Nobody is signed in, or the credentials are wrong; carries a challenge."""

    code = "UNAUTHORIZED"
    status = HTTPStatus.UNAUTHORIZED
    message = "authentication required"


class Denied(RegistryError):
    """code-12. The caller is known and may not do this."""

    code = "DENIED"
    status = HTTPStatus.FORBIDDEN
    message = "requested access to the resource is denied"


class QuotaExceeded(Denied):
    """code-12. There is no room left within a limit; *told* says which, and what is needed."""

    def __init__(self, told: str, detail: object) -> None:
        super().__init__(detail)
        self._told = told

    def __str__(self) -> str:
        return self._told

    @property
    def told(self) -> str:
        return self._told


class TagTaken(Denied):
    """code-12. The tag is on another manifest by now, which is not to be moved unasked."""

    status = HTTPStatus.CONFLICT


class MemberTaken(Denied):
    """code-12. The image is shared with the project already, and what that answered stays."""

    status = HTTPStatus.CONFLICT


class Unsupported(RegistryError):
    """code-13. The operation, parameter or header is not supported."""

    code = "UNSUPPORTED"
    status = HTTPStatus.BAD_REQUEST
    message = "the operation is unsupported"


class MethodUnsupported(Unsupported):
    """code-13. No such method on this resource; the answer's ``Allow`` names those there are."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class RouteUnknown(NameUnknown):
    """code-9. No such path in this API."""

    message = "no such path in this API"


class TooManyRequests(RegistryError):
    """code-14. Slow down; ``Retry-After`` says for how long."""

    code = "TOOMANYREQUESTS"
    status = HTTPStatus.TOO_MANY_REQUESTS
    message = "too many requests"


class RangeNotSatisfiable(RegistryError):
    """A blob's bytes were asked for by a range that has none of them (RFC 9110, 15.5.17)."""

    code = "SIZE_INVALID"
    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    message = "requested range not satisfiable"


class RequestTimeout(RegistryError):
    """The body stopped coming; what was received of an upload is kept, and it can go on."""

    code = "BLOB_UPLOAD_INVALID"
    status = HTTPStatus.REQUEST_TIMEOUT
    message = "the request's body did not come in time"


class StorageUnavailable(RegistryError):
    """Storage did not answer or cannot be trusted now; a repeat of the request is harmless.

    503, so that a client tries again rather than believing content to be absent.
    """

    code = "UNKNOWN"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "storage is unavailable, try again"

    def __init__(self, detail: object = None, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "5", **(headers or {})})

    @property
    def reason(self) -> str:
        # The detail says whether trying again helps; who asks by hand is no client that waits.
        return self.message if self.detail is None else str(self.detail)


class StorageFull(RegistryError):
    """No room for these bytes; reads and deletes go on."""

    code = "DENIED"
    status = HTTPStatus.INSUFFICIENT_STORAGE
    message = "the registry's storage is full"
