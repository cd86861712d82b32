"""Root logs in to containers of a real Debian image, with its own sshd and without one."""

import gzip
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sshd.kit import closure
from support.agents import shop
from support.daemons import Daemon, daemon_of, running_daemon
from support.environment import tool
from support.hostimages import Blob, Handmade, member, tar_of
from support.hostplaces import HostPlace, host_place
from support.images import real_images
from support.logins import Client
from support.server import running_server

PASSWORD = "correct horse canary-71c2"  # noqa: S105
PACKAGES = ("openssh-server", "openssh-sftp-server", "openssh-client")
OWN = "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
Entry = tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]


def debian() -> Blob:
    """Debian's base, as debootstrap makes it."""
    image = real_images().image
    manifest = image.read(image.digest)
    diff_id = image.read(manifest["config"]["digest"])["rootfs"]["diff_ids"][0]
    return Blob(image.blob(manifest["layers"][0]["digest"]).read_bytes(), diff_id)


def openssh(base: Blob) -> bytes:
    """A layer with what Debian's packages of OpenSSH install, and the libraries that *base* lacks.

    They are this machine's, which has the same edition of Debian; so no host key is among them.
    """
    listed = subprocess.run(
        [tool("dpkg"), "-L", *PACKAGES], check=True, capture_output=True, encoding="utf-8"
    )
    paths = {Path(line) for line in listed.stdout.splitlines() if line.startswith("/")}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(base.content))) as tar:
        known = {f"/{name.removeprefix('./')}" for name in tar.getnames()}
        passwd = tar.extractfile("./etc/passwd")
        assert passwd is not None
        accounts = passwd.read().decode()
    libraries = {path.resolve(): path for path in closure(Path(tool("sshd")))}
    paths |= {path for real, path in libraries.items() if str(real) not in known}
    entries: list[Entry] = [(member("etc/passwd", mode=0o644), (accounts + OWN).encode())]
    for path in sorted(paths):
        if not path.is_file() or "/share/" in str(path):
            continue
        name = str(path).lstrip("/")
        if name.partition("/")[0] in {"bin", "sbin", "lib", "lib64"}:  # links in Debian
            name = f"usr/{name}"
        if path.is_symlink() and path not in libraries.values():
            entries.append(member(name, tarfile.SYMTYPE, linkname=str(path.readlink())))
        else:
            entries.append((member(name, mode=path.stat().st_mode & 0o7777), path.read_bytes()))
    return tar_of(*entries)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """An agent on crun, with Debian in its registry: as it is, and with OpenSSH."""
    base = debian()
    config = {"Cmd": ["/bin/sleep", "infinity"]}
    with running_server() as registry, host_place() as place:
        Handmade.of([base], config=config).push(registry, "library/debian", "bare")
        Handmade.of([base, openssh(base)], config=config).push(registry, "library/debian", "ssh")
        made = daemon_of(place, registry, pool="1Gi", runtime="crun")
        with running_daemon(made):
            yield made
        assert_nothing_left(place)


def assert_nothing_left(place: HostPlace) -> None:
    left = place.leftovers()
    assert not left, left


SCRIPT = """set -e
id -u
echo $BASH_VERSION
. /etc/os-release
echo $ID
tr '\\0' ' ' < /proc/1/cmdline
echo
readlink /proc/$PPID/exe
echo $HOME
echo kept > /root/file
"""


@pytest.mark.parametrize("tag", ["bare", "ssh"])
def test_root_logs_in_to_debian(daemon: Daemon, tmp_path: Path, tag: str) -> None:
    client = Client(tmp_path)
    container = {"image": f"debian:{tag}", "mem": "256Mi", "stop": {"grace_s": 0}}
    login = {"keys": [client.public], "password": PASSWORD}
    document = shop(container, networks=[{"name": "default"}], ssh=login)
    daemon.climg("set-create", "--wait", "-", stdin=json.dumps(document))
    found = daemon.show("shop")
    address = found["addresses"][0].partition("/")[0]
    namespace = daemon.place.run / "sets" / found["set"] / "net"
    client.trust(address, found["host_keys"])
    for password in (None, PASSWORD):
        answer = client.call(namespace, address, SCRIPT, password=password)
        assert answer.code == 0, answer.said
        uid, bash, name, first, program, home = answer.output.splitlines()
        assert (uid, name, first.strip(), home) == ("0", "debian", "/bin/sleep infinity", "/root")
        assert bash.startswith("5."), bash
        assert (program == "/usr/sbin/sshd") == (tag == "ssh"), program
    assert client.call(namespace, address, "tty", tty=True).output.strip() == "/dev/pts/0"
    assert client.call(namespace, address, "exit 7").code == 7
    assert client.call(namespace, address, "id", password="canary-wrong").code == 255  # noqa: S106
    assert client.call(namespace, address, "id", user="daemon").code == 255
    inside = daemon.climg("set-exec", "shop", "--", "/bin/cat", "/etc/shadow", "/root/file").stdout
    assert "root:*:" in inside
    assert "$6$" not in inside
    assert inside.endswith("kept\n")
    daemon.climg("set-password", "shop", "-i", stdin=f"{PASSWORD}-2\n")
    assert client.call(namespace, address, "id", password=PASSWORD).code == 255
    daemon.climg("set-restart", "shop", "--wait")
    again = client.call(namespace, address, "cat /root/file", password=f"{PASSWORD}-2")
    assert (again.code, again.output) == (0, "kept\n"), again.said
    assert daemon.show("shop")["host_keys"] == found["host_keys"]
    daemon.climg("set-delete", "shop", "--yes", "--wait")
