"""Projects of a cloud by name: its services know them by id."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from keystoneauth1 import exceptions as auth_errors
from keystoneauth1.identity.base import BaseIdentityPlugin
from keystoneauth1.session import Session

from climg.errors import Ambiguous, NotFound

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Projects:
    """What of projects the caller may know. Raises keystoneauth's exceptions and requests'."""

    def __init__(self, session: Session) -> None:
        """A *session* that signs in at no Keystone knows projects by one name only, the id."""
        self._session = session
        self._found: dict[str, str] = {}

    @property
    def have_names(self) -> bool:
        """Whether there is a Keystone, where ids and names are two things."""
        return isinstance(self._session.auth, BaseIdentityPlugin)

    def find(self, text: str) -> str:
        """The id of the project *text*, an id or a name; raises NotFound and Ambiguous."""
        if not self.have_names or _ID.fullmatch(text):
            return text
        if text not in self._found:
            self._found[text] = self._look_up(text)
        return self._found[text]

    def _look_up(self, name: str) -> str:
        """Among the caller's own projects; among all, if he may see them."""
        found = self._named(name, "/auth/projects", {})
        if not found:
            try:
                found = self._named(name, "/projects", {"name": name})
            except auth_errors.HttpError as error:
                if error.http_status != HTTPStatus.FORBIDDEN:
                    raise
        if len(found) > 1:
            raise Ambiguous(f"there are {len(found)} projects {name}: say the ID of one")
        if not found:
            raise NotFound(
                f"there is no project {name}, or you may not look it up: say its ID, which "
                "somebody in it is told by: openstack token issue -f value -c project_id"
            )
        return found[0]

    def _named(self, name: str, path: str, query: Mapping[str, str]) -> list[str]:
        auth: Any = self._session.auth
        base = auth.auth_url.rstrip("/")
        url = f"{base}{path}" if base.endswith("/v3") else f"{base}/v3{path}"
        answer = self._session.get(url, params=dict(query), headers={"Accept": "application/json"})
        return [each["id"] for each in answer.json()["projects"] if each["name"] == name]
