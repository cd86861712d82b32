"""Keystone's unified limits, as a real Keystone tells them to the service user."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from keystoneauth1.identity import v3

from registry.auth.keystone.client import Keystone
from registry.auth.keystone.limits import KeystoneAllowances, read
from registry.limits import UNBOUNDED, UNLIMITED, Allowance, FixedAllowances, Limits
from registry.oci.errors import StorageUnavailable
from support.ledgers import Clock
from support.openstack import OpenStack
from support.unifiedlimits import UnifiedLimits, unified_limits

MIB = 1024 * 1024


@pytest.fixture
def limits(openstack: OpenStack) -> Iterator[UnifiedLimits]:
    with unified_limits(openstack) as limits:
        yield limits


@pytest.fixture
async def allowances(openstack: OpenStack, clock: Clock) -> AsyncIterator[KeystoneAllowances]:
    user = openstack.users["registry"]
    service = v3.Password(
        openstack.identity_url,
        user.password,
        user_id=user.id,
        project_id=openstack.projects[user.project],
    )
    others = FixedAllowances(Allowance(project=Limits(bytes=1, tags=7)), {})
    keystone = Keystone(openstack.identity_url)
    allowances = KeystoneAllowances(keystone, service, others, seconds=60, clock=clock)
    yield allowances
    await allowances.close()


async def test_a_projects_limit_goes_before_the_registered_one(
    openstack: OpenStack, limits: UnifiedLimits, allowances: KeystoneAllowances
) -> None:
    limits.register("registry_mebibytes", 1000)
    limits.register("registry_repositories", 5)
    limits.register("registry_other", 3)
    limits.limit("registry_mebibytes", openstack.projects["east"], 5000)
    east = await allowances.find(openstack.projects["east"])
    west = await allowances.find(openstack.projects["west"])
    assert east.firm == Limits(bytes=5000 * MIB, repositories=5)
    assert west.firm == Limits(bytes=1000 * MIB, repositories=5)
    assert east.project == Limits(bytes=1, tags=7), "what Keystone does not say"


async def test_a_limit_may_be_as_large_as_keystone_can_hold_and_may_be_none(
    openstack: OpenStack, limits: UnifiedLimits, allowances: KeystoneAllowances
) -> None:
    limits.register("registry_mebibytes", 2**31 - 1)
    limits.limit("registry_mebibytes", openstack.projects["west"], UNLIMITED)
    east = await allowances.find(openstack.projects["east"])
    west = await allowances.find(openstack.projects["west"])
    assert east.firm.bytes == (2**31 - 1) * MIB
    assert west.firm.bytes == UNLIMITED


async def test_where_nobody_registered_a_limit_there_is_none(
    openstack: OpenStack, limits: UnifiedLimits, allowances: KeystoneAllowances
) -> None:
    assert limits.made == []
    found = await allowances.find(openstack.projects["east"])
    assert found.firm == Limits(bytes=UNLIMITED, repositories=UNLIMITED)


async def test_a_limit_is_remembered_for_a_minute_and_in_an_outage_for_ten_more(
    openstack: OpenStack, limits: UnifiedLimits, allowances: KeystoneAllowances, clock: Clock
) -> None:
    east = openstack.projects["east"]
    limits.register("registry_mebibytes", 1000)
    path = limits.limit("registry_mebibytes", east, 1)
    assert (await allowances.find(east)).firm.bytes == 1 * MIB
    limits.change(path, 2)
    clock.now += 59
    assert (await allowances.find(east)).firm.bytes == 1 * MIB
    clock.now += 2
    assert (await allowances.find(east)).firm.bytes == 2 * MIB
    await allowances._keystone.close()
    allowances._keystone = Keystone("http://127.0.0.1:1/v3")
    clock.now += 600
    assert (await allowances.find(east)).firm.bytes == 2 * MIB
    clock.now += 61
    with pytest.raises(StorageUnavailable, match="nobody knows the project's limits just now"):
        await allowances.find(east)
    with pytest.raises(StorageUnavailable):
        await allowances.find(openstack.projects["west"])


def test_limits_of_other_regions_do_not_count() -> None:
    documents: list[dict[str, Any]] = [
        {"resource_name": "registry_mebibytes", "region_id": "south", "resource_limit": 1},
        {"resource_name": "registry_mebibytes", "region_id": "north", "resource_limit": 2},
        {"resource_name": "registry_mebibytes", "region_id": None, "default_limit": 3},
        {"resource_name": "class_snapshots", "region_id": None, "default_limit": 4},
    ]
    assert read(documents, "north").bytes == 2 * MIB
    assert read(documents, None).bytes == 3 * MIB
    assert read(documents, "east").bytes == 3 * MIB


def test_a_limit_that_is_no_number_is_not_taken_for_none() -> None:
    with pytest.raises(StorageUnavailable):
        read([{"resource_name": "registry_mebibytes", "default_limit": "many"}], None)


async def test_the_configurations_limits_of_a_project_go_before_the_usual_ones() -> None:
    usual = Allowance(project=Limits(bytes=5, tags=6), repository=Limits(tags=1))
    fixed = FixedAllowances(usual, {"shoes": Limits(bytes=7)})
    assert (await fixed.find("hats")) == usual
    assert (await fixed.find("shoes")).project == Limits(bytes=7, tags=6)
    assert (await FixedAllowances(Allowance(), {}).find("hats")) is UNBOUNDED
