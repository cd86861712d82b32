"""Unified limits of a real Keystone, registered for a while."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from support.openstack import OpenStack


@dataclass
class UnifiedLimits:
    """What an operator does with `openstack registered limit` and `openstack limit`."""

    http: httpx.Client
    service: str
    made: list[str] = field(default_factory=list)

    def register(self, name: str, default: int) -> str:
        """What holds for every project; its path."""
        said = {"service_id": self.service, "resource_name": name, "default_limit": default}
        return self._make("registered_limit", said)

    def limit(self, name: str, project: str, value: int) -> str:
        """What holds for one project; its path."""
        said = {
            "service_id": self.service,
            "resource_name": name,
            "resource_limit": value,
            "project_id": project,
        }
        return self._make("limit", said)

    def change(self, path: str, value: int) -> None:
        answer = self.http.patch(path, json={"limit": {"resource_limit": value}})
        assert answer.status_code == httpx.codes.OK, answer.text

    def _make(self, kind: str, said: dict[str, Any]) -> str:
        answer = self.http.post(f"/{kind}s", json={f"{kind}s": [said]})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        path = f"/{kind}s/{answer.json()[f'{kind}s'][0]['id']}"
        self.made.append(path)
        return path


@contextlib.contextmanager
def unified_limits(openstack: OpenStack) -> Iterator[UnifiedLimits]:
    """Yield a Keystone without limits, as its administrator; it has none afterwards either."""
    headers = {"X-Auth-Token": openstack.token("admin")}
    with httpx.Client(base_url=openstack.identity_url, headers=headers, timeout=60) as http:
        found = http.get("/services?type=container-registry").json()["services"]
        limits = UnifiedLimits(http, found[0]["id"])
        try:
            yield limits
        finally:
            for path in reversed(limits.made):  # a project's before what it goes instead of
                answer = http.delete(path)
                assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
