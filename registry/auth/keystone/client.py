"""Keystone's API, asked as the caller: keystoneauth in a bounded pool of threads."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

from keystoneauth1 import exceptions
from keystoneauth1.access import AccessInfoV3
from keystoneauth1.identity import v3
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token as TokenEndpoint

from registry.auth.keystone import answers
from registry.auth.keystone.answers import CloudToken, Project
from registry.auth.keystone.credentials import (
    WRONG,
    ApplicationCredential,
    Password,
    is_id,
)
from registry.oci.errors import (
    Denied,
    NameUnknown,
    RegistryError,
    StorageUnavailable,
    Unauthorized,
)

THREADS = 10
"""Questions at once: requests keeps as many connections."""
WAITING = 200
"""Questions at most that wait for a thread; more are refused, so that nobody waits for minutes."""
SILENCE = 1.0
"""Seconds for which nothing is asked after no answer came."""
_REFUSED: Mapping[int, type[RegistryError]] = {
    HTTPStatus.BAD_REQUEST: Unauthorized,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Unauthorized,
}
_REFUSED_OR_ABSENT = {**_REFUSED, HTTPStatus.NOT_FOUND: Unauthorized}
"""An unknown token or application credential is 404; for a password that is a wrong address."""
_NOT_FOR_HIM: Mapping[int, type[RegistryError]] = {
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Denied,
    HTTPStatus.NOT_FOUND: NameUnknown,
}
_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


def as_caller(token: str, endpoint: str) -> BaseAuthPlugin:
    """By which a session speaks to the service at *endpoint* as whoever the token is of."""
    return TokenEndpoint(endpoint, token)


class Keystone:
    """A cloud's service of identity.

    Every method raises StorageUnavailable where it does not answer. No exception holds or follows
    another that holds a request, and so a password.
    """

    def __init__(self, auth_url: str, *, verify: bool | str = True, timeout: float = 10.0) -> None:
        """*verify*: TLS certificates, by the file named; *timeout*: seconds to wait for a byte."""
        url = auth_url.rstrip("/")
        self.url = url if url.endswith("/v3") else f"{url}/v3"
        self._session = Session(verify=verify, timeout=timeout, redirect=False)
        self._pool = ThreadPoolExecutor(THREADS, "keystone")
        self._waiting = 0
        self._silent_until = 0.0

    async def sign_in(self, credentials: Password | ApplicationCredential) -> CloudToken:
        """A token for these credentials; a password's is not scoped. Raises Unauthorized."""
        if isinstance(credentials, Password):
            by_password = v3.Password(
                self.url,
                credentials.password,
                username=credentials.user,
                user_domain_id=credentials.domain,
                unscoped=True,
                include_catalog=False,
            )
            return await self._authenticate(by_password, _REFUSED)
        by_credential = v3.ApplicationCredential(
            self.url,
            credentials.secret,
            application_credential_id=credentials.id,
            application_credential_name=credentials.name,
            username=credentials.user,
            user_domain_id=credentials.domain,
            include_catalog=False,
        )
        return await self._authenticate(by_credential)

    async def validate(self, token: str) -> CloudToken:
        """What *token* is good for now; raises Unauthorized."""

        def ask() -> CloudToken:
            url = f"{self.url}/auth/tokens?nocatalog"
            auth = as_caller(token, self.url)
            headers = {"X-Subject-Token": token}
            body = self._session.get(url, auth=auth, headers=headers, log=False).json()
            return answers.read(AccessInfoV3(body, token))

        return await self._ask(ask)

    async def scope(self, token: str, project: str, domain: str) -> CloudToken:
        """A token of the same user for *project*: an id, or a name in *domain* (an id).

        Raises Unauthorized where he has no role there, or *token* is not good any more.
        """
        if is_id(project):
            auth = v3.Token(self.url, token, project_id=project, include_catalog=False)
        else:
            auth = v3.Token(
                self.url,
                token,
                project_name=project,
                project_domain_id=domain,
                include_catalog=False,
            )
        scoped = await self._authenticate(auth)
        found = scoped.project
        if found is None or project != (found.id if is_id(project) else found.name):
            raise Unauthorized(WRONG)  # a database that takes capitals for small letters
        return scoped

    async def scope_domain(self, token: str, domain: str) -> CloudToken:
        """A token of the same user for *domain* (an id). Raises Unauthorized."""
        return await self._authenticate(
            v3.Token(self.url, token, domain_id=domain, include_catalog=False)
        )

    async def scope_system(self, token: str) -> CloudToken:
        """A token of the same user for the whole system. Raises Unauthorized."""
        return await self._authenticate(
            v3.Token(self.url, token, system_scope="all", include_catalog=False)
        )

    async def list_projects(self, token: str) -> list[Project]:
        """Where the user of *token* has a role. Raises Unauthorized if it is not good any more."""
        found = await self._get(token, "/auth/projects")
        return [Project(each["id"], each["name"], each["domain_id"]) for each in found["projects"]]

    async def has_system_role(self, token: str) -> bool:
        """Whether the user of *token* has a role for the whole system. Raises Unauthorized."""
        return bool((await self._get(token, "/auth/system"))["system"])

    async def find_project(self, token: str, project: str, domain: str) -> str | None:
        """The id of *project*: an id, or a name in *domain* (an id); None if there is not one.

        Raises Denied where the user of *token* may not look it up, and Unauthorized.
        """
        if is_id(project):
            try:
                await self._get(token, f"/projects/{project}")
            except NameUnknown:
                return None
            return project
        query = {"name": project, "domain_id": domain}
        found = await self._get(token, "/projects", query)
        ids = [each["id"] for each in found["projects"] if each["name"] == project]
        return ids[0] if len(ids) == 1 else None

    async def list_limits(self, token: str, project: str) -> list[dict[str, Any]]:
        """Unified limits of *project* (an id), those that hold by default among them, last.

        Raises Denied, and Unauthorized.
        """
        own = await self._get(token, "/limits", {"project_id": project})
        usual = await self._get(token, "/registered_limits")
        return [*own["limits"], *usual["registered_limits"]]

    async def issue_token(self, auth: BaseAuthPlugin, *, anew: bool = False) -> str:
        """A token of whoever *auth* signs in, not the last one if *anew*. Raises Unauthorized."""

        def ask() -> str:
            if anew:
                auth.invalidate()
            token = auth.get_token(self._session)
            if token is None:
                raise TypeError("a plugin without tokens")
            return token

        return await self._ask(ask)

    async def close(self) -> None:
        """End its threads and connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    async def _authenticate(
        self, auth: v3.Auth, refusals: Mapping[int, type[RegistryError]] = _REFUSED_OR_ABSENT
    ) -> CloudToken:
        return await self._ask(lambda: answers.read(auth.get_auth_ref(self._session)), refusals)

    async def _get(self, token: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        """The document at *path*; raises Unauthorized, Denied and NameUnknown."""

        def ask() -> Any:
            auth = as_caller(token, self.url)
            url = f"{self.url}{path}"
            return self._session.get(url, auth=auth, params=query, log=False).json()

        return await self._ask(ask, _NOT_FOR_HIM)

    async def _ask(
        self,
        ask: Callable[[], Answer],
        refusals: Mapping[int, type[RegistryError]] = _REFUSED_OR_ABSENT,
    ) -> Answer:
        """What *ask* answers, in a thread; *refusals* by their HTTP status."""
        if self._waiting >= WAITING:
            raise StorageUnavailable("too many people sign in at once")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._answer, ask, refusals)
        finally:
            self._waiting -= 1

    def _answer(
        self, ask: Callable[[], Answer], refusals: Mapping[int, type[RegistryError]]
    ) -> Answer:
        if time.monotonic() < self._silent_until:
            raise _unavailable("no answer a moment ago")
        try:
            return ask()
        except RegistryError:
            raise
        except exceptions.MissingAuthMethods:  # a second factor, for which nobody can be asked
            failure: RegistryError = Unauthorized(WRONG)
        except exceptions.HttpError as error:
            kind = refusals.get(error.http_status)
            failure = kind(WRONG) if kind else _unavailable(f"HTTP {error.http_status}")
        except (exceptions.ConnectFailure, exceptions.ConnectTimeout) as error:
            self._silent_until = time.monotonic() + SILENCE
            failure = _unavailable(type(error).__name__)
        except (exceptions.ClientException, LookupError, TypeError, ValueError) as error:
            failure = _unavailable(type(error).__name__)
        raise failure  # out here, so that it does not follow what holds a request


def _unavailable(why: str) -> StorageUnavailable:
    _log.warning("Keystone does not answer: %s", why)
    return StorageUnavailable("Keystone does not answer: nobody can sign in just now")
