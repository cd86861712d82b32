"""The directory of a backup: objects that all of its states share, and the names of each state.

``backup.json`` says which state counts; it takes the place of the one before in one step, once all
that it names lies there durably. ``names-<n>/`` holds that state's ledger, journal and list of
objects; ``blobs/`` the objects, as in a store. ``of-store`` says whose backup this is.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from registry.backup.faults import BackupFailed, told
from registry.oci.errors import StorageUnavailable
from registry.storage.durable import make_directory, sync_directory, write_aside
from registry.storage.layout import Layout
from registry.storage.records import StoreIdentity

FORM: Final = 1
"""Of ``backup.json``; a release that meets another one refuses it."""
STATE: Final = "backup.json"
OWNER: Final = "of-store"
LEDGER: Final = "ledger.db"
OBJECTS: Final = "objects"
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class State:
    """One whole state of a backup."""

    number: int
    store: str
    epoch: int
    at: float
    """When it was that of the store: seconds, UTC."""
    blobs: int
    size: int
    """Bytes of them."""
    missing: tuple[str, ...]
    """Objects that the store itself did not have."""
    files: dict[str, str]
    """SHA-256 of each file of names, by its path below ``names-<number>``."""

    def spell(self) -> bytes:
        """As it stands in ``backup.json``."""
        return json.dumps({"form": FORM, **asdict(self)}, indent=1).encode() + b"\n"

    @classmethod
    def read(cls, content: bytes) -> Self:
        """What ``spell`` wrote; raises BackupFailed."""
        try:
            document: dict[str, Any] = json.loads(content)
            form = document.pop("form")
            if form != FORM:
                raise BackupFailed(f"the backup is of form {form}, and this release reads {FORM}")
            return cls(**{**document, "missing": tuple(document["missing"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BackupFailed(
                f"{STATE} of the backup is damaged: {error}; take another backup, and begin a "
                "fresh one in an empty directory"
            ) from error


class Place:
    """A directory that holds backups of one store, and nothing else."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.layout = Layout(directory)
        self._fresh: set[Path] = set()
        """Directories that got names which are not durable yet."""

    @contextlib.contextmanager
    def opened(self, store: StoreIdentity) -> Iterator[None]:
        """Make it *store*'s, and be the only one to write to it.

        Raises BackupFailed where it holds something else, or another's backup, or is in use.
        """
        with told(self.directory):
            make_directory(self.directory)
            owner = self.directory / OWNER
            if not owner.exists():
                if any(self.directory.iterdir()):
                    raise BackupFailed(
                        f"{self.directory} holds what is no backup: name an empty directory"
                    )
                _put(owner, store.store.encode() + b"\n")
            if owner.read_bytes().strip() != store.store.encode():
                raise BackupFailed(
                    f"{self.directory} is the backup of another store: name another directory"
                )
            fd = os.open(owner, os.O_RDONLY)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield
            except BlockingIOError:
                raise BackupFailed(f"another backup into {self.directory} is under way") from None
            finally:
                os.close(fd)

    def state(self) -> State | None:
        """The state that counts; None before the first whole one. Raises BackupFailed."""
        with told(self.directory):
            try:
                return State.read((self.directory / STATE).read_bytes())
            except FileNotFoundError:
                return None

    def names(self, number: int) -> Path:
        """Where the names of state *number* are."""
        return self.directory / f"names-{number}"

    def begin(self, number: int) -> Path:
        """An empty directory for the names of state *number*."""
        names = self.names(number)
        with told(self.directory):
            if names.exists():  # a run that was broken off
                shutil.rmtree(names)
            (names / "journal").mkdir(mode=0o700, parents=True)
            (names / "meta").mkdir(mode=0o700)
            names.chmod(0o700)
        return names

    def has(self, name: str, size: int) -> bool:
        """Whether an object is there already: under its name it is whole, as it was put."""
        try:
            return self.layout.object(name).stat().st_size == size
        except FileNotFoundError:
            return False

    def put(self, name: str, source: Path, *, copying: bool) -> bool:
        """Bring an object here, linked where both lie on one file system; whether it was there.

        FileNotFoundError is raised where *source* is not.
        """
        target = self.layout.object(name)
        for folder in (target.parent.parent.parent, target.parent.parent, target.parent):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._fresh.add(folder.parent)
        self._fresh.add(target.parent)
        if not copying:
            try:
                target.unlink(missing_ok=True)  # of another size: no object of a store
                os.link(source, target)
            except OSError as error:
                if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}:
                    raise
            else:
                return True
        aside = self.directory / "blobs" / f"aside-{uuid.uuid4()}"
        try:
            with source.open("rb") as old, aside.open("xb") as new:
                shutil.copyfileobj(old, new, _PIECE)
                new.flush()
                os.fsync(new.fileno())
            aside.chmod(0o600)
            aside.rename(target)
        finally:
            aside.unlink(missing_ok=True)
        return False

    def publish(self, state: State) -> None:
        """Make *state* the one that counts, all that it names being durable."""
        with told(self.directory):
            for folder in sorted(self._fresh, reverse=True):  # the innermost first
                sync_directory(folder)
            names = self.names(state.number)
            for folder in (names / "journal", names / "meta", names, self.directory):
                sync_directory(folder)
            _put(self.directory / STATE, state.spell())

    def prune(self, number: int, kept: Iterable[str]) -> int:
        """Remove names of other states, and objects that *kept* does not name; how many."""
        wanted = {self.layout.object(name) for name in kept}
        count = 0
        with told(self.directory):
            for names in self.directory.glob("names-*"):
                if names != self.names(number):
                    shutil.rmtree(names)
            for aside in (self.directory / "blobs").glob("aside-*"):
                aside.unlink()
            for path in (self.directory / "blobs").glob("*/*/*/*"):
                if path not in wanted:
                    path.unlink()
                    count += 1
                    with contextlib.suppress(OSError):  # not empty
                        path.parent.rmdir()
        return count

    def objects(self, number: int) -> Iterator[tuple[str, int]]:
        """Name and size of each object of state *number*; raises BackupFailed."""
        path = self.names(number) / OBJECTS
        with told(path), path.open(encoding="ascii") as lines:
            for line in lines:
                name, _, size = line.rstrip("\n").partition(" ")
                try:
                    self.layout.object(name)
                    yield name, int(size)
                except (StorageUnavailable, ValueError) as error:
                    raise BackupFailed(f"{path} is damaged") from error


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _put(path: Path, content: bytes) -> None:
    """Make *path*, whole and durable, in place of what was there."""
    aside = path.with_name(f"{path.name}.aside")
    aside.unlink(missing_ok=True)
    write_aside(aside, content)
    aside.rename(path)
    sync_directory(path.parent)
