"""Who asks, and may they: runs before every handler."""

from starlette.requests import Request

from registry.auth.ports import Action, Identity, Principal
from registry.oci.names import RepositoryName


class Guard:
    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def start(self) -> None: ...

    async def admit(self, request: Request) -> Principal:
        return await self._identity.authenticate("", "")

    async def authorize(
        self,
        request: Request,
        principal: Principal,
        repository: RepositoryName,
        actions: frozenset[Action],
        *,
        upload: str | None = None,
    ) -> None: ...

    async def require_known(self, request: Request, principal: Principal) -> None: ...

    async def may(self, principal: Principal, repository: RepositoryName, action: Action) -> bool:
        return True

    def readable_projects(self, principal: Principal) -> frozenset[str] | None:
        return None

    def seal_upload(self, upload: str, repository: RepositoryName, subject: str) -> str | None:
        return None
