import ctypes
import json
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from runspec.limits import CannotRun
from sshd import bundle, hostkey
from sshd.bundle import Beside
from sshd.kit import KitMissing, kit, words
from sshd.login import GROUP, READ, Login, closed_group, replaced, root_of, shadow
from sshd.password import PASSWORD, hashed, is_hash_of
from sshd.place import NoLogin, Place, change_password, lay_out

ROOT = "root:x:0:0::/root:/bin/sh\n"
LOGIN = Login(keys=("ssh-ed25519 AAAA me",), password="$6$salt$hash")  # noqa: S106


def image(accounts: str = "", shells: str = READ["/etc/shells"]) -> dict[str, str]:
    named = {"/etc/passwd": accounts, "/etc/shells": shells, "/etc/group": "root:x:0:\n"}
    return {**dict.fromkeys(READ, ""), **named}


@pytest.mark.parametrize(
    ("seen", "paths"),
    [
        (image(ROOT), {"/etc/shadow"}),
        (image(ROOT, shells="/bin/sh\n"), {"/etc/shadow"}),
        (image(f"toor:x:0:0::/:/bin/toor\x85root:x:0:0::/:/bin/bash\n{ROOT}"), {"/etc/shadow"}),
        (image("root::0:0::/root:\n"), {"/etc/shadow"}),
        (image(), {"/etc/shadow", "/etc/passwd"}),
        (image("web:x:1:1::/:/bin/sh\n"), {"/etc/shadow", "/etc/passwd"}),
        (image("broken\n"), {"/etc/shadow", "/etc/passwd"}),
        (image(ROOT.replace("/bin/sh", "/bin/bash")), {"/etc/shadow", "/etc/shells"}),
        (image(ROOT, shells="/bin/ash\n"), {"/etc/shadow", "/etc/shells"}),
        (
            image(ROOT, shells="# neither /bin/sh\n/bin/ash # nor /bin/sh\n/bin/dash /bin/sh\n"),
            {"/etc/shadow", "/etc/shells"},
        ),
        (image(ROOT, shells="\n"), {"/etc/shadow", "/etc/shells"}),
        (image(ROOT, shells=""), {"/etc/shadow", "/etc/shells"}),
        (image(shells="/bin/ash\n"), {"/etc/shadow", "/etc/shells", "/etc/passwd"}),
        (image(ROOT, shells="  /bin/sh#usual\n"), {"/etc/shadow"}),
    ],
)
def test_of_etc_only_that_is_another_which_must_be(seen: dict[str, str], paths: set[str]) -> None:
    made = replaced(seen, LOGIN)
    assert set(made) == paths
    assert made.get("/etc/passwd", ROOT).startswith("root:x:0:0:")
    if "/etc/shells" in made:
        shell = seen["/etc/passwd"].strip().rpartition(":")[2] or "/bin/sh"
        assert made["/etc/shells"].endswith(f"\n{shell}\n")


def test_whom_dropbear_lets_in_has_a_group_in_which_nobody_else_is() -> None:
    taken = [str((1 << 30) + number) for number in range(5)]
    accounts = f"{ROOT}a:x:5:{taken[0]}::/:\nb:x:0{taken[1]}:+00{taken[2]}::/:\n"
    seen = {**image(accounts), "/etc/group": f"root:x:0:web\nc:x:{taken[3]}:web\n{GROUP}:x:7:web\n"}
    made = closed_group(seen)
    assert made == f"{GROUP}:x:{taken[4]}:root\n{seen['/etc/group']}"
    assert bundle.dropbear(["d"], LOGIN)[-2:] == ["-G", GROUP]
    assert closed_group(image("9" * 5000)).startswith(f"{GROUP}:x:{taken[0]}:root\n")


def test_root_is_who_has_his_name_not_his_number() -> None:
    assert root_of(image(f"toor:x:0:0::/toor:/bin/sh\n{ROOT}")).home == "/root"
    assert root_of(image("toor:x:0:0::/toor:/bin/sh\n")).home == "/root"  # as he is put there


def test_roots_hash_takes_the_place_of_the_images_and_others_keep_theirs() -> None:
    text = "root:!:1::::::\nweb:$6$x$y:1::::::\n\n"
    made = shadow(text, "$6$salt$hash")
    assert made == "root:$6$salt$hash::0:99999:7:::\nweb:$6$x$y:1::::::\n"
    assert shadow(text, None).splitlines()[0] == "root:*::0:99999:7:::"
    assert shadow(made, "$6$new$hash").count("root:") == 1
    odd = "web:*:1\x85root:::\x0cx::\u2028root::\r\n"  # one line, to the C library
    assert shadow(odd, None) == f"root:*::0:99999:7:::\n{odd}"


@pytest.mark.parametrize("shell", ["/sbin/nologin", "/usr/bin/false"])
def test_where_root_has_no_shell_nobody_is_let_in(shell: str) -> None:
    with pytest.raises(CannotRun, match=shell):
        replaced(image(ROOT.replace("/bin/sh", shell)), LOGIN)


def test_without_a_password_none_is_asked_for() -> None:
    keys = Login(keys=("a", "b"))
    assert keys.authorized_keys == "a\nb\n"
    assert "PasswordAuthentication no\n" in bundle.sshd_config(keys)
    assert "PasswordAuthentication yes\n" in bundle.sshd_config(LOGIN)
    assert "-s" in bundle.dropbear(["d"], keys)
    assert "-s" not in bundle.dropbear(["d"], LOGIN)


def test_a_host_key_is_the_same_one_for_both_servers(tmp_path: Path) -> None:
    private = hostkey.make()
    text = hostkey.for_dropbear(private)
    (length,) = struct.unpack(">I", text[:4])
    assert text[4 : 4 + length] == b"ssh-ed25519"
    key = Ed25519PrivateKey.from_private_bytes(text[4 + length + 4 :][:32])
    known = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert hostkey.public(private) == known
    assert hostkey.kept(tmp_path / "none") == ()
    (tmp_path / "key").write_bytes(private)
    assert hostkey.kept(tmp_path / "key") == (known,)


def test_a_password_becomes_a_hash_of_its_own_that_crypt_knows_again() -> None:
    first, second = hashed("correct horse"), hashed("correct horse")
    assert first != second
    assert first.startswith("$6$rounds=100000$")
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    assert library.crypt(b"correct horse", first.encode()) == first.encode()
    assert library.crypt(b"wrong horse", first.encode()) != first.encode()


@pytest.mark.parametrize(
    ("text", "good"),
    [("12345678", True), ("1234567", False), ("x" * 128, True), ("x" * 129, False),
     ("1234567\n", False), ("12345678\n", False), ("1234567\x00", False), ("päßwörter", True)],
)  # fmt: skip
def test_what_may_be_a_password(text: str, good: bool) -> None:
    assert bool(PASSWORD.fullmatch(text)) == good


def test_sshd_is_the_container_again_with_a_process_and_mounts_of_its_own() -> None:
    container: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {"args": ["app"], "env": ["TOKEN=secret"], "rlimits": [], "user": {"uid": 5}},
        "root": {"path": "/disk/root"},
        "mounts": [{"destination": "/proc"}],
        "linux": {
            "cgroupsPath": "/berth/sets/s/a",
            "namespaces": [{"type": "pid"}, {"type": "network", "path": "/net"}],
            "resources": {"devices": [{"allow": False}], "memory": {"limit": 1}},
            "seccomp": {"defaultAction": "x"},
        },
    }
    before = json.dumps(container)
    beside = Beside(
        pid=77, cgroup="/berth/sets/s/a/b", words=["/dropbear"],
        binds={"/etc/shadow": Path("/run/shadow")}, seccomp={"defaultAction": "y"},
    )  # fmt: skip
    made = bundle.config(container, beside)
    assert json.dumps(container) == before
    assert made["root"] == container["root"]
    assert made["linux"]["namespaces"] == [
        {"type": "pid", "path": "/proc/77/ns/pid"},
        {"type": "network", "path": "/net"},
    ]
    assert made["linux"]["resources"] == {"devices": [{"allow": False}]}  # the container's count
    assert made["linux"]["seccomp"] == {"defaultAction": "y"}
    assert made["process"]["user"] == {"uid": 0, "gid": 0}
    assert "secret" not in json.dumps(made)
    shown = {each["destination"]: each for each in made["mounts"]}
    assert set(shown) == {"/proc", "/etc/shadow"}
    assert "ro" in shown["/etc/shadow"]["options"]
    own = bundle.config(container, Beside(
        pid=77, cgroup="/c", words=bundle.openssh(), binds={}, seccomp=None,
    ))  # fmt: skip
    assert [each["destination"] for each in own["mounts"]] == ["/proc", "/run/sshd"]
    assert "seccomp" not in own["linux"]


def test_a_kit_is_made_once_and_former_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "kits"
    made = kit(home)
    assert kit(home) == made
    assert {"dropbear", "libc.so.6"} <= {path.name for path in made.iterdir()}
    assert all(path.stat().st_mode & 0o777 == 0o755 for path in made.iterdir())
    said = words(made, "/k")
    assert said[0].startswith("/k/ld-")
    assert said[-1] == "/k/dropbear"
    (home / "former").mkdir()
    made.rename(home / "older")
    assert kit(home) == made
    assert list(home.iterdir()) == [made]
    monkeypatch.setattr("sshd.kit._PLACES", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(KitMissing, match="dropbear-bin"):
        kit(home)


def test_several_sets_at_once_make_one_kit(tmp_path: Path) -> None:
    home, start = tmp_path / "kits", threading.Barrier(6)

    def make(_: int) -> Path:
        start.wait()
        return kit(home)

    with ThreadPoolExecutor(6) as workers:
        [made] = set(workers.map(make, range(6)))
    assert list(home.iterdir()) == [made]
    assert (made / "dropbear").stat().st_size > 0


def test_a_changed_password_leaves_the_file_whole_at_every_moment(tmp_path: Path) -> None:
    """Sshd reads it whenever somebody comes."""
    place = Place(home=tmp_path, key=tmp_path / "key", kits=tmp_path / "kits")
    shown = tmp_path / "shadow"
    shown.write_text(shadow("web:*:1::::::\n" * 2000, "$6$salt$" + "x" * 86))
    inode, torn, is_over = shown.stat().st_ino, [], threading.Event()

    def look() -> None:
        while not is_over.is_set():
            text = shown.read_text()
            if not text.startswith("root:$6$salt$") or not text.endswith("web:*:1::::::\n"):
                torn.append(text)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for number in range(200):
            change_password(place, "$6$salt$" + "xy"[number % 2] * 86)
    finally:
        is_over.set()
        thread.join()
    assert torn == []
    assert shown.stat().st_ino == inode  # it is mounted


def container_in(root: Path) -> dict[str, Any]:
    (root / "etc").mkdir(parents=True)
    (root / "etc/shadow").write_bytes(b"root:!:1::::::\nw\xf6b:*:1::::::\n")
    return {
        "ociVersion": "1.0.2",
        "process": {"rlimits": []},
        "root": {"path": str(root)},
        "mounts": [],
        "linux": {"namespaces": [], "resources": {"devices": []}},
    }


def test_of_the_images_files_every_byte_is_kept(tmp_path: Path) -> None:
    place = Place(home=tmp_path / "home", key=tmp_path / "set/ssh/key", kits=tmp_path / "kits")
    (tmp_path / "set").mkdir()
    container = container_in(tmp_path / "root")
    made = lay_out(place, container, LOGIN, pid=1, cgroup="/c", seccomp=None)
    shown = {each["destination"]: Path(each["source"]) for each in made["mounts"]}
    change_password(place, "$6$new$hash")
    others = b"w\xf6b:*:1::::::\n"
    assert shown["/etc/shadow"].read_bytes() == b"root:$6$new$hash::0:99999:7:::\n" + others


@pytest.mark.parametrize("text", [b"", b"no key", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_damaged_host_key_is_told_and_lets_nobody_in(tmp_path: Path, text: bytes) -> None:
    place = Place(home=tmp_path / "home", key=tmp_path / "key", kits=tmp_path / "kits")
    place.key.write_bytes(text)
    assert hostkey.kept(place.key) == ()  # the set's status is told all the same
    container = container_in(tmp_path / "root")
    with pytest.raises(NoLogin, match="is no host key any more"):
        lay_out(place, container, LOGIN, pid=1, cgroup="/c", seccomp=None)
    assert place.key.read_bytes() == text


def test_a_hash_is_known_by_its_password_and_by_no_other() -> None:
    kept = hashed("correct horse")
    assert is_hash_of(kept, "correct horse")
    assert not is_hash_of(kept, "wrong horse")
    assert not is_hash_of("correct horse", "correct horse")
