"""`berth doctor`: each check on something real that is well, and on the same thing broken."""

import asyncio
import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from registry import agreement, stores
from registry.config import Config
from registry.doctor.examine import examine
from registry.doctor.findings import Finding, Unwell
from registry.doctor.objects import hold_able
from registry.oci.names import RepositoryName, Tag
from registry.push import PushRules, put_manifest
from support.builders import image
from support.directory import Directory, Place, directory_of
from support.environment import free_port
from support.faultproxy import FaultProxy
from support.openstack import OpenStack
from support.postgres import started_postgres
from support.programs import run
from support.server import service_variables
from support.swift import new_prefix, service_session

KEY = "X-Account-Meta-Temp-URL-Key"


@pytest.fixture
def cloudy(openstack: OpenStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A configuration that uses all of a cloud, with its service user in the environment."""
    for name, value in service_variables(openstack).items():
        monkeypatch.setenv(name, value)
    directory = tmp_path / "data"
    directory.mkdir()
    return {
        "storage": {
            "kind": "swift",
            "directory": str(directory),
            "prefix": new_prefix(),
            "redirect": True,
        },
        "auth": {"kind": "keystone"},
        "glance": {"enabled": True},
    }


@pytest.fixture(scope="module")
def directory(openstack: OpenStack) -> Iterator[Directory]:
    with directory_of(openstack) as directory:
        yield directory


def config_of(settings: dict[str, Any], tmp_path: Path) -> Config:
    lines = []
    for table, keys in settings.items():
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    path = tmp_path / "berth.toml"
    path.write_text("\n".join(lines), "utf-8")
    return Config.load(path, {})


async def look(settings: dict[str, Any], tmp_path: Path) -> dict[str, Finding]:
    found = await examine(config_of(settings, tmp_path))
    assert len({each.what for each in found}) == len(found)
    for each in found:
        assert each.good or each.mend, f"{each} says what to do"
    return {each.what: each for each in found}


def bad(found: dict[str, Finding]) -> set[str]:
    return {each.what for each in found.values() if each.good is False}


async def test_where_all_is_well_nothing_is_to_be_done(
    openstack: OpenStack, cloudy: dict[str, Any], tmp_path: Path
) -> None:
    found = await look(cloudy, tmp_path)
    assert bad(found) == set(), found
    assert all(each.good for each in found.values()), found
    assert len(found) > 20
    ended = await asyncio.to_thread(
        run,
        *("berth", "doctor", "--config", str(tmp_path / "berth.toml")),
        COLUMNS="70",
        **service_variables(openstack),
    )
    assert ended.status == 0, ended
    assert max(map(len, ended.lines)) <= 70
    assert openstack.users["registry"].password not in ended.out
    assert openstack.temp_url_key not in ended.out


async def test_a_glance_that_was_not_prepared(
    openstack: OpenStack, cloudy: dict[str, Any], tmp_path: Path
) -> None:
    with openstack.without("docker", "protection", "policy"):
        found = await look(cloudy, tmp_path)
    assert bad(found) == {"disk format", "records of other projects", "protected properties"}
    assert "disk_formats" in found["disk format"].mend
    assert "context_is_admin" in found["records of other projects"].mend
    assert "property_protection_file" in found["protected properties"].mend


async def test_a_service_user_with_too_many_roles_or_too_few(
    openstack: OpenStack,
    cloudy: dict[str, Any],
    directory: Directory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Place(openstack.projects["service"], "service")
    strong, weak = directory.person(), directory.member(service, role="reader")
    for role in ("admin", "ResellerAdmin"):
        directory.grant(strong, role, service)
    monkeypatch.setenv("OS_USERNAME", strong.name)
    monkeypatch.setenv("OS_PASSWORD", strong.password)
    found = await look(cloudy, tmp_path)
    assert bad(found) == {"role service", "role berth_registry", "no needless power"}
    assert "admin and ResellerAdmin" in found["no needless power"].found
    monkeypatch.setenv("OS_USERNAME", weak.name)
    found = await look(cloudy, tmp_path)
    roles = {"role service", "role member", "role berth_registry"}
    assert bad(found) >= roles | {"names of projects", "records of other projects"}
    assert bad(found) & {"account in Swift", "objects in Swift"}
    assert found["protected properties"].good is None, "there is nobody to try it as"


async def test_who_cannot_sign_in_is_told_so_and_no_password(
    openstack: OpenStack,
    cloudy: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OS_PASSWORD", "not-this-one")
    found = await look(cloudy, tmp_path)
    assert bad(found) == {"sign in at Keystone"}
    assert "Unauthorized" in found["sign in at Keystone"].found
    assert "not-this-one" not in str(found)
    monkeypatch.setenv("OS_PASSWORD", openstack.users["registry"].password)
    monkeypatch.setenv("OS_AUTH_URL", f"http://127.0.0.1:{free_port()}/v3")
    assert bad(await look(cloudy, tmp_path)) == {"sign in at Keystone"}
    monkeypatch.setenv("OS_AUTH_URL", openstack.identity_url)
    monkeypatch.setenv("OS_REGION_NAME", "Nowhere")
    found = await look(cloudy, tmp_path)
    assert bad(found) == {"catalogue entry", "account in Swift", "Glance"}
    assert "openstack endpoint create" in found["catalogue entry"].mend


async def test_services_that_are_out_of_reach_and_clocks_that_are_wrong(
    openstack: OpenStack,
    cloudy: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloudy["http"] = {"public_url": "https://elsewhere.example"}
    late = formatdate(time.time() - 3600, usegmt=True).encode()
    account = openstack.account_url("service")
    async with (
        FaultProxy.before(account) as swift,
        FaultProxy.before(openstack.identity_url) as keystone,
    ):
        swift.spoil("^HEAD ", times=99, header=(b"Date", late))
        keystone.spoil("^GET /v3 ", times=99, header=(b"Date", late))
        monkeypatch.setenv("OS_OBJECT_STORE_ENDPOINT_OVERRIDE", swift.url)
        monkeypatch.setenv("OS_AUTH_URL", keystone.url)
        monkeypatch.setenv("OS_IMAGE_ENDPOINT_OVERRIDE", f"http://127.0.0.1:{free_port()}")
        found = await look(cloudy, tmp_path)
    assert bad(found) == {"clock of Keystone", "clock of Swift", "Glance", "catalogue entry"}
    assert "behind" in found["clock of Swift"].found
    assert "https://elsewhere.example" in found["catalogue entry"].found


async def test_an_account_that_signs_no_address_and_one_that_takes_nothing(
    openstack: OpenStack,
    cloudy: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, url = service_session(openstack), openstack.account_url("service")
    await asyncio.to_thread(session.post, url, headers={f"X-Remove-{KEY[2:]}": "x"})
    try:
        async with FaultProxy.before(url) as swift:
            swift.spoil("^PUT ", times=99, status=413)
            monkeypatch.setenv("OS_OBJECT_STORE_ENDPOINT_OVERRIDE", swift.url)
            found = await look(cloudy, tmp_path)
    finally:
        await asyncio.to_thread(session.post, url, headers={KEY: openstack.temp_url_key})
    assert bad(found) == {"redirects to Swift", "objects in Swift"}
    assert "Temp-URL-Key" in found["redirects to Swift"].mend
    assert "full" in found["objects in Swift"].mend


def test_a_swift_without_what_is_needed() -> None:
    able: dict[str, Any] = {
        "swift": {"max_file_size": 5 << 30},
        "slo": {"max_manifest_segments": 1000},
        "bulk_delete": {},
        "tempurl": {"allowed_digests": ["sha256", "sha512"]},
    }
    assert "1000 segments" in hold_able(able)
    for name, value in (
        ("slo", {"max_manifest_segments": 10}),
        ("swift", {"max_file_size": 1 << 30}),
        ("tempurl", {"allowed_digests": ["sha1"]}),
    ):
        with pytest.raises(Unwell):
            hold_able({**able, name: value})
    del able["slo"]
    with pytest.raises(Unwell, match="no slo"):
        hold_able(able)


async def test_a_database_that_is_away_not_migrated_or_forgets(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    settings: dict[str, Any] = {"storage": {"directory": str(data)}, "ledger": {}}
    with started_postgres(durable=False) as postgres:
        settings["ledger"]["url"] = postgres.url()
        found = await look(settings, tmp_path)
        assert bad(found) == {"ledger's tables", "ledger's durability"}
        assert "fsync = off" in found["ledger's durability"].found
        async with stores.opened(config_of(settings, tmp_path)):
            pass
        assert bad(await look(settings, tmp_path)) == {"ledger's durability"}
        settings["http"] = {"workers": 50}
        assert "ledger's connections" in bad(await look(settings, tmp_path))
        postgres.stop()
        found = await look(settings, tmp_path)
    assert bad(found) == {"ledger"}
    assert "OperationalError" in found["ledger"].found


async def test_a_ledger_that_is_behind_or_another_stores(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = {"storage": {"directory": str(data)}}
    assert bad(await look(settings, tmp_path)) == set(), "the first start makes it"
    assert not data.exists()
    async with stores.opened(config_of(settings, tmp_path)) as storage:
        await agreement.settle(storage)
        name, pushed = RepositoryName("library", "app"), image("base")
        rules = PushRules(require_references=False)
        await put_manifest(storage, rules, name, Tag.parse("1"), (), None, pushed.manifest)
    assert bad(await look(settings, tmp_path)) == set()
    meta = data / "meta" / "store.json"
    own = meta.read_text()
    meta.write_text('{"store": "another", "epoch": 1}\n')
    found = await look(settings, tmp_path)
    assert bad(found) == {"ledger and store"}
    assert "another" in found["ledger and store"].found
    meta.write_text(own)
    for path in data.glob("ledger.db*"):
        path.unlink()
    found = await look(settings, tmp_path)
    assert bad(found) == {"ledger"}
    assert "is not there, and the store is not empty" in found["ledger"].found
    assert "berth rebuild" in found["ledger"].mend
    assert list(data.glob("ledger.db*")) == [], "looking makes none"
    async with stores.opened(config_of(settings, tmp_path)):
        pass
    found = await look(settings, tmp_path)
    assert bad(found) == {"ledger and store"}
    assert "berth rebuild" in found["ledger and store"].mend


async def test_a_directory_that_is_none_and_a_file_of_passwords_that_is_absent(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    settings: dict[str, Any] = {"storage": {"directory": str(tmp_path / "file")}}
    found = await look(settings, tmp_path)
    assert bad(found) == {"directory"}
    (tmp_path / "data").mkdir()
    settings["storage"]["directory"] = str(tmp_path / "data")
    settings["auth"] = {"kind": "htpasswd", "htpasswd": str(tmp_path / "absent")}
    async with stores.opened(config_of(settings, tmp_path)):
        pass
    assert bad(await look(settings, tmp_path)) == {"signing in"}


def test_a_configuration_that_cannot_be_read_is_a_finding_too(tmp_path: Path) -> None:
    path = tmp_path / "berth.toml"
    path.write_text("[storage]\nredirect = true\n")
    ended = run("berth", "doctor", "--json", "--config", str(path))
    assert ended.status == 1
    told = json.loads(ended.out)
    assert told["good"] is False
    assert "storage.redirect" in told["checks"][0]["found"]
