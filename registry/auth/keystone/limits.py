"""Keystone's unified limits of projects: what of them is the registry's."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

from keystoneauth1.plugin import BaseAuthPlugin

from registry.auth.keystone.cache import TtlCache
from registry.auth.keystone.client import Keystone
from registry.limits import RESOURCES, UNLIMITED, Allowance, Allowances, Limits
from registry.oci.errors import Denied, StorageUnavailable, Unauthorized

_OURS: Final = {name: (kind, one) for kind, (name, one) in RESOURCES.items()}
REMEMBERED: Final = 4096
STALE_SECONDS: Final = 600.0
"""For which the last answer holds where Keystone gives none."""


class KeystoneAllowances:
    """Bytes and repositories as Keystone says; what else there is to say, *others* say."""

    def __init__(
        self,
        keystone: Keystone,
        service: BaseAuthPlugin,
        others: Allowances,
        *,
        region: str | None = None,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*service* signs in who may read every project's limits: that needs the role service.

        *region*: limits of other regions do not count. *seconds* is how long one is remembered.
        """
        self._keystone = keystone
        self._service = service
        self._others = others
        self._region = region
        self._seconds = seconds
        self._known: TtlCache[str, Limits] = TtlCache(REMEMBERED, clock)
        self._stale: TtlCache[str, Limits] = TtlCache(REMEMBERED, clock)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def find(self, project: str) -> Allowance:
        """As in Allowances."""
        turn = self._turns.setdefault(project, asyncio.Lock())
        async with turn:
            try:
                said = self._known.find(project)
            except KeyError:
                said = await self._ask(project)
        others = await self._others.find(project)
        return dataclasses.replace(others, firm=said)

    async def close(self) -> None:
        """As in Allowances."""
        await self._keystone.close()
        await self._others.close()

    async def _ask(self, project: str) -> Limits:
        try:
            said = read(await self._list(project), self._region)
        except StorageUnavailable:
            try:
                return self._stale.find(project)
            except KeyError:
                raise StorageUnavailable(
                    "Keystone does not answer: nobody knows the project's limits just now"
                ) from None
        except (Denied, Unauthorized):
            raise StorageUnavailable(
                "Keystone does not tell the project's limits: give the service user the role "
                "service, or set quota.source to config"
            ) from None
        self._known.put(project, said, self._seconds)
        self._stale.put(project, said, self._seconds + STALE_SECONDS)
        return said

    async def _list(self, project: str) -> list[dict[str, Any]]:
        token = await self._keystone.issue_token(self._service)
        try:
            return await self._keystone.list_limits(token, project)
        except Unauthorized:  # it was revoked
            token = await self._keystone.issue_token(self._service, anew=True)
            return await self._keystone.list_limits(token, project)


def read(documents: Sequence[Mapping[str, Any]], region: str | None) -> Limits:
    """What Keystone's *documents* say, the project's own before what holds by default (pure).

    Where nobody registered a limit there is none, whatever the configuration says.
    """
    said = dict.fromkeys(RESOURCES, UNLIMITED)
    for each in reversed(documents):
        name = each.get("resource_name", "")
        if name in _OURS and each.get("region_id") in {None, region}:
            value = each.get("resource_limit", each.get("default_limit"))
            if not isinstance(value, int):
                raise StorageUnavailable(f"Keystone's {name} is no number")
            kind, one = _OURS[name]
            said[kind] = UNLIMITED if value < 0 else value * one
    return Limits(**said)
