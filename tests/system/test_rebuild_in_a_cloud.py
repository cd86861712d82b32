"""In a cloud the database is lost under running servers, while Glance is away, and made again."""

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from registry.oci.descriptor import OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import image
from support.crawl import Answers, crawl
from support.environment import wait_until
from support.openstack import OpenStack
from support.postgres import DATABASE, Postgres, started_postgres
from support.programs import run_on_terminal
from support.replicas import Replicas, running_replicas
from support.server import Settings, service_variables
from support.swift import new_prefix

APP = "east/app"
IMAGES = [image("base", f"number {number}") for number in range(3)]
BROKEN_OFF = """\
import asyncio, os, sys
from registry import agreement, stores, wiring
os.environ[wiring.CONFIG_VARIABLE] = sys.argv[1]
async def main():
    async with stores.opened(wiring.load_config()) as storage:
        stop = lambda count: os._exit(9) if count >= 6 else None
        await agreement.rebuild(storage.journal, storage.ledger, stop, batch=3)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with started_postgres() as started:
        yield started


@pytest.fixture(scope="module")
def replicas(openstack: OpenStack, postgres: Postgres) -> Iterator[Replicas]:
    glance = "[glance]\nenabled = true\n"
    settings = Settings(cloud=openstack, prefix=new_prefix(), ledger=postgres.url(), extra=glance)
    with running_replicas(settings) as started:
        yield started


@pytest.fixture
def http(replicas: Replicas) -> Iterator[httpx.Client]:
    account = replicas.account
    assert account is not None
    with httpx.Client(base_url=replicas.url, auth=account.pair, timeout=60) as client:
        yield client


def live(http: httpx.Client) -> None:
    headers = {"Content-Type": OCI_MANIFEST}
    for number, each in enumerate(IMAGES):
        for content in each.blobs:
            query = f"digest={Digest.of(content)}"
            must(http.post(f"/v2/{APP}/blobs/uploads/?{query}", content=content))
        for tag in (f"{number}", "latest", f"gone-{number}"):
            must(http.put(f"/v2/{APP}/manifests/{tag}", content=each.manifest, headers=headers))
        must(http.delete(f"/v2/{APP}/manifests/gone-{number}"))


def must(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, answer.text
    return answer


def all_say(replicas: Replicas, words: str) -> bool:
    """Whether that is in every server's word on whether it is ready."""
    urls = [f"{server.url}/readyz" for server in replicas.servers]
    return all(words in httpx.get(url, timeout=60).text for url in urls)


def told(answers: Answers) -> Answers:
    """Without lists of records, which tell times."""
    return {path: answer for path, answer in answers.items() if "/image/v2/images?" not in path}


def test_it_is_made_again_beside_the_servers_though_it_was_broken_off_and_glance_is_away(
    openstack: OpenStack, postgres: Postgres, replicas: Replicas, http: httpx.Client
) -> None:
    live(http)
    before = told(crawl(http))
    ids = {path.split("/")[4] for path in before if path.startswith("/image/v2/images/")}
    assert len(ids) > 5
    glance, token = f"{openstack.image_url}/v2/images", openstack.token("registry")

    def in_glance(record: str) -> bool:
        headers = {"X-Auth-Token": token}
        return httpx.get(f"{glance}/{record}", headers=headers, timeout=60).status_code == 200

    tags = [each for each in ids if before[f"/image/v2/images/{each}"][2].find(b'"tag"') > 0]
    assert tags
    wait_until(lambda: all(map(in_glance, tags)), "the records in Glance", 60)
    postgres.rename(DATABASE, "lost")
    postgres.make(DATABASE)
    config = str(replicas.servers[0].directory / "berth.toml")
    service = service_variables(openstack)
    with openstack.stopped("glance"):
        for path in (f"/v2/{APP}/manifests/latest", f"/v2/{APP}/manifests/never"):
            assert http.get(path).status_code == httpx.codes.SERVICE_UNAVAILABLE
        command = [sys.executable, "-c", BROKEN_OFF, config]
        died = subprocess.run(command, env={**os.environ, **service}, timeout=120, check=False)
        assert died.returncode == 9
        wait_until(lambda: all_say(replicas, "half rebuilt"), "that it is half rebuilt")
        assert http.get(f"/v2/{APP}/manifests/never").status_code == 503
        done = run_on_terminal(
            "berth", "rebuild", "--config", config, types=(), columns=80, **service
        )
        assert done.status == 0, done
        assert "rebuilding" in done.out, "a bar is drawn"
        assert "12/12" in done.out
        assert "rebuilt: 12 lines" in done.out
        wait_until(lambda: all_say(replicas, "OK\n"), "agreement")
        after = told(crawl(http))
        assert {path: after[path] for path in before if path.startswith("/v2/")} == {
            path: answer for path, answer in before.items() if path.startswith("/v2/")
        }
        headers = {"Content-Type": OCI_MANIFEST}
        put = http.put(f"/v2/{APP}/manifests/new", content=IMAGES[0].manifest, headers=headers)
        assert put.status_code == httpx.codes.CREATED, "a push waits for no Glance"
    assert (
        told(crawl(http)).items()
        >= {path: answer for path, answer in before.items() if "/image/" in path}.items()
    ), "the same records, with their ids"
    assert all(map(in_glance, tags)), "and Glance has them"
    assert "Traceback" not in replicas.logs()
