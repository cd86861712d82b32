"""What an agent's configuration names beside itself, right and wrong."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from hostagent.config import AgentConfig, ImagesConfig
from hostagent.files import boot_of, hold_authorities, hold_places, seccomp_of
from settings.reading import ConfigError
from support.certificates import make_certificate

ALLOW = "SCMP_ACT_ALLOW"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"defaultAction": 7}',
        '{"defaultAction": "other"}',
        json.dumps({"defaultAction": ALLOW, "syscalls": 7}),
        json.dumps({"defaultAction": ALLOW, "syscalls": [7]}),
        json.dumps({"defaultAction": ALLOW, "syscalls": [{"action": ALLOW}]}),
        json.dumps({"defaultAction": ALLOW, "syscalls": [{"names": ["read"]}]}),
        json.dumps({"defaultAction": ALLOW, "syscalls": [{"names": [7], "action": ALLOW}]}),
        json.dumps({"defaultAction": ALLOW, "archMap": 7}),
    ],
)
def test_what_is_no_seccomp_profile_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"agent\.seccomp: .*profile\.json cannot be used"):
        seccomp_of(path)


def test_a_profile_is_one_with_no_system_calls_too(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"defaultAction": ALLOW, "syscalls": None}))
    assert seccomp_of(path)["defaultAction"] == ALLOW


def test_files_that_are_none_are_named_by_their_keys(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent", ".", "pipe", "empty", "/dev/zero"):
        path = tmp_path / name
        with pytest.raises(ConfigError, match=r"^agent\.seccomp: "):
            seccomp_of(path)
        with pytest.raises(ConfigError, match=r"^agent\.boot_id: .* must tell boots apart$"):
            boot_of(path)
        with pytest.raises(ConfigError, match=r"^images\.ca_file: .* or leave it out$"):
            hold_authorities(ImagesConfig(ca_file=path))


def test_authorities_are_certificates(tmp_path: Path) -> None:
    hold_authorities(ImagesConfig())
    hold_authorities(ImagesConfig(ca_file=make_certificate(tmp_path).chain))


def test_a_place_that_is_anothers_is_not_closed_to_him(tmp_path: Path) -> None:
    for name in ("state", "run"):
        (tmp_path / name).mkdir(mode=0o755)
    config = AgentConfig(state=tmp_path / "state", run=tmp_path / "run")
    hold_places(config)
    (tmp_path / "state" / "letters").touch()
    with pytest.raises(ConfigError, match=r"^agent\.state: .* has files that are no agent's"):
        hold_places(config)
    (tmp_path / "state" / "agent.db").touch()
    hold_places(config)


def test_a_place_that_is_no_directory_or_no_socket_is_named_and_stays(tmp_path: Path) -> None:
    file, below = tmp_path / "file", tmp_path / "file" / "below"
    file.write_text("mine")
    places: dict[str, Any] = {"state": tmp_path / "s", "run": tmp_path / "r"}
    for key, place in (
        ("state", file), ("state", below), ("run", file), ("run", below),
        ("socket", file), ("socket", below), ("socket", tmp_path),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=rf"^agent\.{key}: .* name another place$"):
            hold_places(AgentConfig(**{**places, key: place}))
    assert file.read_text() == "mine"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent.sock"))
        hold_places(AgentConfig(**places, socket=tmp_path / "agent.sock"))
