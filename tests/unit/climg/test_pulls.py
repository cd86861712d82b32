import io
from typing import Any

import pytest
from rich.console import Console

from climg import pulls

DIGESTS = [f"sha256:{letter * 64}" for letter in "ab"]


def layer(digest: str, received: int, stage: str = "pulling") -> dict[str, Any]:
    return {"digest": digest, "stage": stage, "received": received, "total": 1000, "rate": 12.6,
            "error": "late\nagain"}  # fmt: skip


def looks() -> list[list[dict[str, Any]]]:
    return [
        [layer(DIGESTS[0], 0, "waiting"), layer(DIGESTS[1], 100)],
        [layer(DIGESTS[0], 500)],
        [],
    ]


def test_a_layer_that_comes_is_a_row_in_one_line() -> None:
    row = (DIGESTS[0], "pulling", "5", "1000", "13", "late again")
    assert pulls.rows([layer(DIGESTS[0], 5)]) == [row]


def test_without_a_terminal_lines_say_how_much_is_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pulls, "_POLL", 0.0)
    monkeypatch.setattr(pulls, "_EACH", 1)
    found = iter(looks())
    pulls.follow(lambda: next(found), Console(file=io.StringIO()))
    told = capsys.readouterr().err.splitlines()
    assert told == ["2 layers come: 100 of 2000 bytes", "1 layers come: 500 of 1000 bytes"]


def test_on_a_terminal_a_bar_grows_for_each_layer_and_ends_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulls, "_POLL", 0.0)
    screen = io.StringIO()
    found = iter(looks())
    pulls.follow(lambda: next(found), Console(file=screen, force_terminal=True, width=100))
    last = screen.getvalue().rpartition("a" * 12)[2]
    assert "1.0/1.0 kB" in last
    assert "b" * 12 in screen.getvalue()
