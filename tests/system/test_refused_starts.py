"""What a server that could not serve says at its start, and `berth doctor` before it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.certificates import Certificate, make_certificate
from support.environment import free_port
from support.programs import run


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(
    ("chain", "key", "words"),
    [
        ("missing.pem", "good.key", "missing.pem: No such file"),
        ("good.pem", ".", "Is a directory"),
        ("good.pem", "empty", "cannot be used"),
        ("good.pem", "other.key", "cannot be used"),
        ("good.pem", "locked.key", "without a passphrase"),
        ("pipe", "good.key", "Is a pipe"),
        ("good.pem", "pipe", "Is a pipe"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_once_and_at_the_start(
    tmp_path: Path, certificate: Certificate, chain: str, key: str, words: str
) -> None:
    (tmp_path / "good.pem").write_bytes(certificate.chain.read_bytes())
    (tmp_path / "good.key").write_bytes(certificate.key.read_bytes())
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    other = ec.generate_private_key(ec.SECP256R1())
    for name, secrecy in (
        ("other.key", serialization.NoEncryption()),
        ("locked.key", serialization.BestAvailableEncryption(b"secret")),
    ):
        form = serialization.PrivateFormat.PKCS8
        text = other.private_bytes(serialization.Encoding.PEM, form, secrecy)
        (tmp_path / name).write_bytes(text)
    config = tmp_path / "berth.toml"
    paths = f"tls_certificate = '{tmp_path / chain}'\ntls_key = '{tmp_path / key}'\n"
    config.write_text(f"[http]\nlisten = '127.0.0.1:{free_port()}'\n{paths}")
    done = run("berth", "serve", "--config", str(config), "--data", str(tmp_path / "data"))
    assert done.status == 2, done.err
    (line,) = done.err.splitlines()
    assert words in line
    looked = run("berth", "doctor", "--json", "--config", str(config))
    assert looked.status == 1
    (found,) = (each for each in json.loads(looked.out)["checks"] if each["what"] == "certificate")
    assert (found["good"], found["found"]) == (False, line.removeprefix("berth: "))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent", "No such file"),
        (".", "Is a directory"),
        ("pipe", "Is a pipe"),
        ("/dev/zero", "Is a device"),
        ("bad", "bad, line 1: must be user:bcrypt hash"),
    ],
)
def test_a_file_of_passwords_that_cannot_be_used_is_told_before_a_store_is_made(
    tmp_path: Path, name: str, words: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bad").write_bytes(b"alice:secret\n")
    config, data = tmp_path / "berth.toml", tmp_path / "data"
    auth = f"[auth]\nkind = 'htpasswd'\nhtpasswd = '{tmp_path / name}'\n"
    store = f"[storage]\ndirectory = '{data}'\n"
    config.write_text(f"[http]\nlisten = '127.0.0.1:{free_port()}'\n{store}{auth}")
    looked = run("berth", "doctor", "--json", "--config", str(config))
    assert looked.status == 1
    (found,) = (each for each in json.loads(looked.out)["checks"] if not each["good"])
    assert (found["what"], words in found["found"]) == ("signing in", True)
    done = run("berth", "serve", "--config", str(config))
    assert (done.status, done.err) == (2, f"berth: {found['found']}\n")
    assert not data.exists()


def test_a_configuration_that_is_a_pipe_to_which_nobody_writes_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "berth.toml")
    done = run("berth", "serve", "--config", str(tmp_path / "berth.toml"))
    assert done.status == 2
    assert "nobody writes" in done.err


CLOUD = """clouds:
  here:
    auth: {{auth_url: 'https://127.0.0.1:9/v3', username: a, password: b, project_name: c}}
    cacert: {}
"""


@pytest.mark.parametrize(
    ("clouds", "authorities", "words"),
    [
        ("pipe", "absent", "pipe: Is a pipe"),
        ("clouds.yaml", "absent", "absent: No such file"),
        ("clouds.yaml", "pipe", "pipe: Is a pipe"),
        ("clouds.yaml", "clouds.yaml", "holds no certificates"),
    ],
)
@pytest.mark.parametrize("auth", ["keystone", "none"])
def test_a_file_of_the_cloud_that_cannot_be_used_is_named_before_keystone_is_asked(
    tmp_path: Path, clouds: str, authorities: str, words: str, auth: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "clouds.yaml").write_text(CLOUD.format(tmp_path / authorities))
    config = tmp_path / "berth.toml"
    store = f"[storage]\nkind = 'swift'\ndirectory = '{tmp_path / 'data'}'\n"
    cloud = f"[openstack]\ncloud = 'here'\n[auth]\nkind = '{auth}'\n"
    config.write_text(f"[http]\nlisten = '127.0.0.1:{free_port()}'\n{store}{cloud}")
    variables = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / clouds)}
    done = run("berth", "serve", "--config", str(config), **variables)
    assert done.status in {1, 2}
    (line,) = done.err.splitlines()
    assert words in line
    looked = run("berth", "doctor", "--json", "--config", str(config), **variables)
    found = {each["what"]: each["found"] for each in json.loads(looked.out)["checks"]}
    assert words in found["service user"]


def test_a_ledger_that_is_no_file_is_told_of(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    url = {"BERTH_LEDGER_URL": f"sqlite:///{tmp_path}/pipe"}
    done = run("berth", "serve", "--data", str(tmp_path / "data"), **url)
    assert (done.status, "see ledger.url" in done.err) == (1, True)
    assert "Traceback" not in done.err


def test_an_address_that_is_no_name_of_a_host_is_named(tmp_path: Path) -> None:
    config = tmp_path / "berth.toml"
    (tmp_path / "htpasswd").touch()
    auth = f"[auth]\nkind = 'htpasswd'\nhtpasswd = '{tmp_path / 'htpasswd'}'\n"
    config.write_text(f"[http]\nlisten = 'a..b:5000'\n{auth}")
    done = run("berth", "serve", "--config", str(config), "--data", str(tmp_path / "data"))
    assert (done.status, "a..b:5000" in done.err) == (1, True), done.err
    assert "Traceback" not in done.err


def test_a_directory_that_can_be_read_alone_is_named(tmp_path: Path) -> None:
    with read_only(tmp_path / "data") as data:
        done = run("berth", "serve", "--listen", f"127.0.0.1:{free_port()}", "--data", str(data))
    assert done.status == 1
    (line,) = done.err.splitlines()
    assert f"{data} cannot be read and changed" in line


@contextmanager
def read_only(path: Path) -> Iterator[Path]:
    """A file system in which nobody writes, root neither."""
    path.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "ro,size=64k", "none", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["/bin/umount", path], check=True)


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "a\x1b"])
def test_a_users_name_that_breaks_the_file_is_refused(name: str) -> None:
    ended = run("berth", "passwd", name)
    assert (ended.status, ended.out) == (2, "")
    assert "a user's name has no" in ended.err
