"""The process around the API: TLS, proxies, workers, logs, an orderly end, and what is refused."""

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from registry.oci.digest import Digest
from support.certificates import Certificate, make_certificate
from support.environment import free_port, listens, wait_until
from support.server import ALICE, BERTH, CAROL, Server, Settings, running_server

CONTENT = bytes(range(256)) * 4096
DIGEST = str(Digest.of(CONTENT))
APP = "library/app"


def begin(http: httpx.Client) -> str:
    answer = http.post(f"/v2/{APP}/blobs/uploads/")
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return urljoin(str(answer.url), answer.headers["Location"])


def closing(location: str) -> httpx.URL:
    return httpx.URL(location).copy_merge_params({"digest": DIGEST})


# -- TLS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_tls_is_served_and_older_versions_are_not(certificate: Certificate) -> None:
    keys = {"tls_certificate": str(certificate.chain), "tls_key": str(certificate.key)}
    with running_server(Settings(auth=True, http=keys)) as server:
        trusting = ssl.create_default_context(cafile=certificate.chain)
        with httpx.Client(base_url=server.url, verify=trusting, auth=ALICE.pair) as http:
            location = begin(http)
            assert location.startswith("https://")
            assert http.put(closing(location), content=CONTENT).status_code == 201
            assert http.get(f"/v2/{APP}/blobs/{DIGEST}").content == CONTENT
        with httpx.Client(base_url=server.url, verify=trusting) as nobody:
            challenge = nobody.get("/v2/").headers["WWW-Authenticate"]
            assert f'realm="{server.url}/auth/token"' in challenge
        distrusting = ssl.create_default_context()
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{server.url}/v2/", verify=distrusting)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/v2/", verify=old)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{server.address}/v2/")


# -- behind a proxy ---------------------------------------------------------------------------


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7", "Host": "r.example.org"}


def realm(answer: httpx.Response) -> str:
    return answer.headers["WWW-Authenticate"].partition('realm="')[2].partition('"')[0]


def test_a_trusted_proxy_says_who_asks_and_by_which_scheme() -> None:
    with running_server(Settings(auth=True, http={"trusted_proxies": ["127.0.0.1"]})) as server:
        answer = httpx.get(f"{server.url}/v2/", headers=FORWARDED)
        assert realm(answer) == "https://r.example.org/auth/token"
        # A line of the log is written once the answer is sent.
        wait_until(lambda: '"client":"192.0.2.7"' in server.process.tail(), "the log's line")


def test_anybody_elses_forwarding_headers_are_nothing() -> None:
    with running_server(Settings(auth=True)) as server:
        before = server.process.tail().count('"path":"/v2/"')
        answer = httpx.get(f"{server.url}/v2/", headers=FORWARDED)
        assert realm(answer) == "http://r.example.org/auth/token"
        logged = '"path":"/v2/"'
        wait_until(lambda: server.process.tail().count(logged) > before, "the log's line")
        assert "192.0.2.7" not in server.process.tail()


def test_the_address_that_the_configuration_names_goes_over_all() -> None:
    keys = {"public_url": "https://registry.example.org"}
    with running_server(Settings(auth=True, http=keys)) as server:
        answer = httpx.get(f"{server.url}/v2/", headers={"Host": "evil.example"})
        assert realm(answer) == "https://registry.example.org/auth/token"


# -- several workers, several servers ---------------------------------------------------------


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Server, Server]]:
    """Two servers of two workers each on one data directory."""
    with (
        running_server(Settings(auth=True, workers=2)) as first,
        running_server(Settings(auth=True, workers=2), data=first.data) as second,
    ):
        yield first, second


def test_chunks_may_alternate_between_servers(two: tuple[Server, Server]) -> None:
    location = ""
    for number, start in enumerate(range(0, len(CONTENT), 65_536)):
        with httpx.Client(base_url=two[number % 2].url, auth=ALICE.pair) as http:
            path = httpx.URL(location or begin(http)).raw_path.decode()
            chunk = CONTENT[start : start + 65_536]
            headers = {"Content-Range": f"{start}-{start + len(chunk) - 1}"}
            answer = http.patch(path, content=chunk, headers=headers)
            assert answer.status_code == httpx.codes.ACCEPTED, answer.text
            assert answer.headers["Range"] == f"0-{start + len(chunk) - 1}"
            location = urljoin(str(answer.url), answer.headers["Location"])
    path = httpx.URL(location).raw_path.decode()
    for server in two:  # closed once, and once more by a client that heard nothing
        with httpx.Client(base_url=server.url, auth=ALICE.pair) as http:
            assert http.put(closing(urljoin(server.url, path))).status_code == 201
            assert http.get(f"/v2/{APP}/blobs/{DIGEST}").content == CONTENT


def test_what_one_deletes_the_other_does_not_serve(two: tuple[Server, Server]) -> None:
    first, second = (httpx.Client(base_url=each.url, auth=ALICE.pair) for each in two)
    with first, second:
        for round_ in range(20):
            content = CONTENT + bytes([round_])
            digest = str(Digest.of(content))
            path = f"/v2/{APP}/blobs/{digest}"
            put = first.post(f"/v2/{APP}/blobs/uploads/?digest={digest}", content=content)
            assert put.status_code == httpx.codes.CREATED
            assert second.get(path).content == content
            assert first.delete(path).status_code == httpx.codes.ACCEPTED
            assert second.get(path).status_code == httpx.codes.NOT_FOUND
            assert second.head(path).status_code == httpx.codes.NOT_FOUND


def test_a_token_of_one_is_good_at_the_other(two: tuple[Server, Server]) -> None:
    query = f"service=berth&scope=repository:{APP}:pull,push"
    for issuer, verifier in (two, two[::-1]):
        for _ in range(8):  # each of the four workers is met
            token = httpx.get(f"{issuer.url}/auth/token?{query}", auth=ALICE.pair).json()["token"]
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.get(f"{verifier.url}/v2/{APP}/tags/list", headers=headers)
            assert answer.status_code in {200, 404}, answer.text


def test_many_writers_push_the_same_blob_at_once(two: tuple[Server, Server]) -> None:
    content = CONTENT[::-1]
    digest = str(Digest.of(content))

    def push(number: int) -> int:
        with httpx.Client(base_url=two[number % 2].url, auth=ALICE.pair, timeout=60) as http:
            location = begin(http)
            return http.put(
                httpx.URL(location).copy_merge_params({"digest": digest}), content=content
            ).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(push, range(32))) == {httpx.codes.CREATED}
    held = list((two[0].data / "blobs").glob(f"*/*/{digest.partition(':')[2]}/*"))
    assert len(held) == 1, "the losers' objects are gone"


# -- the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_was_killed_can_be_started_again(workers: int) -> None:
    with running_server(Settings(workers=workers)) as server:
        with httpx.Client(base_url=server.url) as http:
            assert http.put(closing(begin(http)), content=CONTENT).status_code == 201
        os.kill(server.process.pid, signal.SIGKILL)  # and nobody tells its workers
        wait_until(lambda: server.process.status is not None, "its end")
        host, _, port = server.address.partition(":")
        wait_until(lambda: not listens((host, int(port))), "the end of its workers", 20)
        server.restart()
        assert httpx.get(f"{server.url}/v2/{APP}/blobs/{DIGEST}").content == CONTENT


@pytest.mark.parametrize("workers", [1, 2])
def test_an_upload_in_flight_may_finish(workers: int) -> None:
    going = threading.Event()
    resume = threading.Event()

    def body() -> Iterator[bytes]:
        yield CONTENT[:65_536]
        going.set()
        assert resume.wait(30)
        yield CONTENT[65_536:]

    with running_server(Settings(workers=workers)) as server:
        with httpx.Client(base_url=server.url, timeout=30) as http, ThreadPoolExecutor(1) as pool:
            upload = pool.submit(http.put, closing(begin(http)), content=body())
            assert going.wait(30)
            server.process.signal(signal.SIGTERM)
            wait_until(lambda: refuses(server), "the end of listening")
            resume.set()
            answer = upload.result(30)
            assert answer.status_code == httpx.codes.CREATED, answer.text
        assert server.process.wait(30) in {0, -signal.SIGTERM}
        server.restart()
        assert httpx.get(f"{server.url}/v2/{APP}/blobs/{DIGEST}").content == CONTENT


def test_the_grace_ends_and_what_came_is_kept() -> None:
    hold = threading.Event()

    def body() -> Iterator[bytes]:
        yield CONTENT
        hold.wait(30)

    with running_server(Settings(http={"shutdown_grace": 1})) as server:
        with httpx.Client(base_url=server.url, timeout=30) as http, ThreadPoolExecutor(1) as pool:
            location = begin(http)
            upload = pool.submit(http.patch, location, content=body())
            time.sleep(0.5)
            server.process.signal(signal.SIGTERM)
            assert server.process.wait(20) in {0, -signal.SIGTERM}
            hold.set()
            answer = upload.result(30)
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert "Retry-After" in answer.headers
        server.restart()
        with httpx.Client(base_url=server.url) as http:
            status = http.get(location)
            assert status.status_code == httpx.codes.NO_CONTENT
            assert status.headers["Range"] == f"0-{len(CONTENT) - 1}"


def refuses(server: Server) -> bool:
    host, _, port = server.address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


def test_a_worker_that_dies_is_replaced() -> None:
    with running_server(Settings(workers=2)) as server:
        before = children(server.process.pid)
        assert len(before) >= 2
        with httpx.Client(base_url=server.url) as http:
            location = begin(http)
            assert http.put(closing(location), content=CONTENT).status_code == 201
        os.kill(next(filter(is_worker, before)), signal.SIGKILL)
        wait_until(lambda: set(children(server.process.pid)) - set(before) != set(), "a new worker")
        for _ in range(10):
            assert httpx.get(f"{server.url}/v2/{APP}/blobs/{DIGEST}").content == CONTENT


def children(pid: int) -> list[int]:
    """Processes that *pid* has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_worker(pid: int) -> bool:
    """Not multiprocessing's own helper."""
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


# -- the log ----------------------------------------------------------------------------------


def test_the_access_log_is_lines_of_json_without_secrets() -> None:
    with running_server(Settings(auth=True)) as server:
        with httpx.Client(base_url=server.url, auth=CAROL.pair) as http:
            own = "req-" + "0" * 8 + "-0000-4000-8000-" + "0" * 12
            answer = http.get(f"/v2/{APP}/manifests/no%22pe", headers={"X-Request-Id": own})
            http.get("/auth/token?account=carol&scope=repository:library/app:pull&client_id=x")
        with httpx.Client(base_url=server.url, auth=ALICE.pair) as http:
            assert http.put(closing(begin(http)), content=CONTENT).status_code == 201
        server.stop()
        text = server.process.tail(1_000_000)
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        requests = [line for line in lines if "method" in line]
        assert {line["status"] for line in requests} >= {201, 202}
        named = {line["request_id"]: line for line in requests}
        line = named[answer.headers["X-Openstack-Request-Id"]]
        assert (line["method"], line["status"]) == ("GET", answer.status_code)
        assert line["seconds"] < 5
        assert line["client"] == "127.0.0.1"
        for word in (ALICE.password, CAROL.password, "Basic ", "Bearer ", "digest=", "account="):
            assert word not in text


# -- the figures -----------------------------------------------------------------------------


def figures(server: Server) -> dict[str, float]:
    answer = httpx.get(f"{server.url}/metrics")
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")
    families = list(text_string_to_metric_families(answer.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a metric stands there twice"
    return {
        " ".join(
            [sample.name, *(value for _, value in sorted(sample.labels.items()))]
        ): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_the_figures_are_of_all_workers_together(workers: int) -> None:
    count = 20
    with running_server(Settings(workers=workers)) as server:
        with httpx.Client(base_url=server.url) as http:
            assert http.put(closing(begin(http)), content=CONTENT).status_code == 201
        for _ in range(count):  # each over a connection of its own, so that all workers are met
            assert len(httpx.get(f"{server.url}/v2/{APP}/blobs/{DIGEST}").content) == len(CONTENT)
            assert httpx.get(f"{server.url}/v2/{APP}/manifests/no").status_code == 404
        told = figures(server)
        assert told["berth_requests_total GET blob 200"] == count
        assert told["berth_requests_total GET manifest 404"] == count
        assert told["berth_request_seconds_count GET blob"] == count
        assert told["berth_sent_bytes_total blob"] == count * len(CONTENT)
        assert told["berth_requests_total PUT upload 201"] == 1
        assert told["berth_ready"] == 1
        assert not any(APP in name or DIGEST in name for name in told), "names are nobody's figures"


def test_the_figures_are_not_for_everybody() -> None:
    with running_server(Settings(http={"metrics_from": ["192.0.2.0/24"]})) as server:
        refused = httpx.get(f"{server.url}/metrics")
        assert (refused.status_code, "metrics_from" in refused.text) == (403, True)


# -- what is refused at the start -------------------------------------------------------------


def serve(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", **variables}
    command = [str(BERTH), "serve", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[http]\nlisten = '0.0.0.0:5000'\n", "auth.kind"),
        ("[http]\nport = 5000\n", "port: no such key in [http]"),
        ("[http]\nworkers = 'two'\n", "http.workers"),
        ("[http]\nworkers = 0\n", "http.workers"),
        ("[http\n", "TOML"),
        ("[http]\ntrusted_proxies = ['127.0.0.1']\n", "trusted_proxies"),
        ("[http]\ntls_certificate = 'a.pem'\n", "tls_key"),
        ("[auth]\nkind = 'htpasswd'\n", "auth.htpasswd"),
        ("[auth]\nkind = 'htpasswd'\nhtpasswd = 'missing'\n", "missing"),
        ("[ledger]\nurl = 'mysql://x'\n", "ledger.url"),
        ("[http]\nmetrics_from = ['10.0.0.0/99']\n", "http.metrics_from"),
    ],
)
def test_a_setting_that_would_do_harm_is_refused_by_name(
    tmp_path: Path, toml: str, words: str
) -> None:
    config = tmp_path / "berth.toml"
    config.write_text(f"{toml}\n")
    done = serve("--config", str(config), "--data", str(tmp_path / "data"))
    assert done.returncode == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = serve("--listen", address, "--data", str(tmp_path))
    assert done.returncode == 1
    assert address in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data = tmp_path / "file" / "data"
    done = serve("--listen", f"127.0.0.1:{free_port()}", "--data", str(data))
    assert done.returncode == 1, done.stderr
    assert str(data) in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr
