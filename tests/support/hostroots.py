"""Root filesystems of busybox, in place of images: directories that are copied."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from hostagent import points
from hostagent.errors import StepFailed
from hostagent.ports import Json, ReadyImage
from sshd.kit import closure
from support.environment import tool
from volumes.disks import Disks
from volumes.quota import PlainQuota, Quota

Files = Mapping[str, str | bytes]

APPLETS = [
    "sh",
    "sleep",
    "cat",
    "echo",
    "true",
    "false",
    "touch",
    "ls",
    "kill",
    "wget",
    "nc",
    "httpd",
    "ip",
    "hostname",
    "env",
    "id",
    "stat",
    "dd",
    "mkdir",
    "test",
    "ps",
    "cp",
    "mv",
    "rm",
    "head",
    "tail",
    "seq",
    "trap",
    "printf",
    "od",
    "sync",
    "date",
]


def make_root(root: Path) -> Path:
    """A small root filesystem at *root*."""
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "var"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy2("/bin/busybox", root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "bin" / "bash").write_text('#!/bin/sh\nexec /bin/sh "$@"\n')
    (root / "bin" / "bash").chmod(0o755)
    (root / "etc" / "passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/srv:/bin/sh\n"
    )
    (root / "etc" / "group").write_text("root:x:0:\nweb:x:1000:\nlogs:x:2000:web\n")
    return root


def openssh_files() -> Files:
    """Files of an image with sshd of its own: this machine's, with its libraries."""
    found = closure(Path(tool("sshd")))
    accounts = "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
    return {**{str(path).lstrip("/"): path.read_bytes() for path in found}, "etc/passwd": accounts}


class DirectoryImages:
    """Images out of a table; a disk is a copy. References that it does not know are refused."""

    def __init__(self, root: Path, quota: Quota | None = None) -> None:
        """*quota* holds the limits of disks; without one nothing does."""
        self._root = root
        self._disks = Disks(root, quota or PlainQuota(), points.reach)
        self._images: dict[str, tuple[str, Json, Files]] = {}
        self.pins: set[tuple[str, int]] = set()
        self.asked: list[str] = []

    def add(self, reference: str, digest: str, config: Json, files: Files) -> None:
        """Let *reference* mean an image with *files* over busybox."""
        self._images[reference] = (digest, config, files)

    def ensure(
        self, set_id: str, generation: int, reference: str, secret: str | None
    ) -> ReadyImage:
        _ = secret
        self.asked.append(reference)
        known = self._images.get(reference.partition("@")[0])
        if known is None:
            raise StepFailed(f"the image {reference} is not to be had")
        self.pins.add((set_id, generation))
        return ReadyImage(known[0], known[1])

    def prepare(self, disk: str, digest: str, most: int) -> Path:
        root = self._root / disk
        if not root.exists():
            self._disks.remove(f".{disk}")
            making = self._disks.make(f".{disk}", most)
            make_root(making)
            for path, text in self._files(digest).items():
                target = making / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)
                target.write_bytes(text.encode() if isinstance(text, str) else text)
                target.chmod(0o755)
            making.rename(root)
        return root

    def release(self, disk: str) -> None:
        """Nothing is mounted."""

    def remove(self, disk: str) -> None:
        self._disks.remove(disk)
        self._disks.remove(f".{disk}")
        self._disks.empty_trash()

    def unpin(self, set_id: str, generation: int | None) -> None:
        last = float("inf") if generation is None else generation
        self.pins = {(each, n) for each, n in self.pins if each != set_id or n > last}

    def progress(self, set_id: str) -> tuple[int, int] | None:
        _ = set_id  # nothing is pulled
        return None

    def disks(self) -> list[str]:
        """The disks that there are."""
        return sorted(path.name for path in self._root.iterdir() if path.name != ".trash")

    def _files(self, digest: str) -> Files:
        for known, _, files in self._images.values():
            if known == digest:
                return files
        raise StepFailed(f"no image {digest}")
