"""PORT Rootfs: root filesystems of attempts, and what can go wrong with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Rootfs(Protocol):
    """Root filesystems of attempts.

    A root's life: prepare -> used by a container -> remove. It is made of lower directories, which
    are shared and never change, and of one writable directory of its own.
    """

    def prepare(self, attempt: Path, chain: Sequence[Path], writable: Path | None = None) -> Path:
        """Mount a root for *attempt*, a directory of its own; answer where it is mounted.

        *chain* is an image's, topmost first. *writable* is the directory of an earlier attempt
        whose writable layer goes on; that one must not be mounted any more. A root that is mounted
        already is answered as it is; one that is left half made is made anew.

        Raises RootfsFailed.
        """
        ...

    def remove(self, attempt: Path, *, keep_writable: bool = False) -> None:
        """Unmount the root, and let go of its writable layer unless it is to be kept.

        A no-op where there is none. Raises RootfsFailed.
        """
        ...

    def mounted(self) -> list[Path]:
        """The attempts' directories whose roots are mounted."""
        ...


class RootfsFailed(Exception):
    """A root cannot be mounted or unmounted: what failed, and what the kernel says."""
