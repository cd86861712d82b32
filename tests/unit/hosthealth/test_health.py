import contextlib
import dataclasses
import re
import socket
import time

import httpx
import pytest

from hosthealth import port
from hosthealth.agent import _WHAT, Counts, figures
from hosthealth.figures import Figure, text
from hosthealth.port import PortTaken, answering, create_app
from support.environment import free_port, wait_until
from support.sending import assert_answered_while_sending

NUMBERS = {name: 1.5 if name.startswith("cpu") else 1 for name in _WHAT}
COUNTS = Counts(levels={"running": 2, "stopped": 1}, states={}, **NUMBERS)  # type: ignore[arg-type]


def test_figures_are_told_in_prometheus_text() -> None:
    told = text([
        Figure("a_total", "counter", "How often.", {"": 1 << 40}),
        Figure("b", "gauge", "Which.", {"y": 2, "x": 1.5}, "of"),
    ])  # fmt: skip
    assert told == (
        "# HELP a_total How often.\n# TYPE a_total counter\na_total 1099511627776\n"
        '# HELP b Which.\n# TYPE b gauge\nb{of="x"} 1.5\nb{of="y"} 2\n'
    )


def test_every_count_is_a_figure_of_its_kind() -> None:
    made = {each.name: each for each in figures(COUNTS)}
    names = {field.name for field in dataclasses.fields(Counts)} - {"levels", "states"}
    assert set(made) == {f"berth_agent_{name}" for name in names | {"sets", "attempts"}}
    assert all((each.kind == "counter") == name.endswith("_total") for name, each in made.items())
    assert made["berth_agent_sets"].values == {"running": 2, "stopped": 1}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_the_port_tells_health_and_figures_and_nothing_else(host: str) -> None:
    complaints: list[str] = []
    app = create_app(lambda: complaints[0] if complaints else None, lambda: figures(COUNTS))
    address = f"{host}:{free_port()}"
    with answering(address, app), httpx.Client(base_url=f"http://{address}") as client:
        assert (client.get("/healthz").status_code, client.get("/healthz").text) == (200, "ok\n")
        metrics = client.get("/metrics")
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        line = re.compile(r'# (HELP|TYPE) .+|[a-z_]+(\{[a-z]+="[a-z]+"\})? [0-9.]+')
        assert all(line.fullmatch(each) for each in metrics.text.splitlines())
        complaints.append("the disk is full")
        assert client.get("/healthz").text == "the disk is full\n"
        assert client.get("/healthz").status_code == 503
        assert client.get("/sets").status_code == 404
        assert client.post("/metrics").status_code == 405
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{address}/healthz")


def test_who_comes_at_once_is_answered() -> None:
    app = create_app(lambda: None, lambda: ())
    for _ in range(10):
        at = ("127.0.0.1", free_port())
        with answering("{}:{}".format(*at), app), socket.create_connection(at) as client:
            client.settimeout(30)
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_port_that_another_has_just_opened_is_told() -> None:
    app = create_app(lambda: None, lambda: ())
    address = f"127.0.0.1:{free_port()}"
    with answering(address, app):
        with pytest.raises(PortTaken, match=address), answering(address, app):
            pass
        assert httpx.get(f"http://{address}/healthz").text == "ok\n"


def test_a_port_that_is_taken_is_told() -> None:
    app = create_app(lambda: None, lambda: ())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(PortTaken, match=address), answering(address, app):
            pass
    with pytest.raises(PortTaken, match="nowhere"), answering("nowhere:x", app):
        pass


def test_who_connects_and_asks_nothing_keeps_nobody_from_being_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(port, "_PATIENCE", 0.5)
    app = create_app(lambda: None, lambda: ())
    at = ("127.0.0.1", free_port())
    with answering("{}:{}".format(*at), app), contextlib.ExitStack() as stack:
        for number in range(64):
            silent = stack.enter_context(socket.create_connection(at))
            silent.sendall(b"GET /healthz HT"[: number % 16])
        wait_until(lambda: _is_well(at), "an answer", 10)


def test_who_is_refused_in_the_middle_of_a_body_may_send_it_and_reads_why() -> None:
    app = create_app(lambda: None, lambda: ())
    at = ("127.0.0.1", free_port())
    with answering("{}:{}".format(*at), app), socket.create_connection(at) as client:
        assert_answered_while_sending(client, "POST /metrics", 405)


def test_who_is_refused_and_sends_for_ever_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "_PATIENCE", 0.5)
    app = create_app(lambda: None, lambda: ())
    at = ("127.0.0.1", free_port())
    with answering("{}:{}".format(*at), app), socket.create_connection(at) as client:
        client.settimeout(30)
        head = f"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: {1 << 40}\r\n"
        client.sendall(f"{head}Connection: close\r\n\r\n".encode())
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            send_on(client, until=began + 20)


def send_on(client: socket.socket, until: float) -> None:
    while time.monotonic() < until:
        client.sendall(b"more")
        time.sleep(0.01)


def _is_well(at: tuple[str, int]) -> bool:
    return httpx.get("http://{}:{}/healthz".format(*at), timeout=5).status_code == 200
