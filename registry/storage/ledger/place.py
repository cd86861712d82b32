"""Where a SQLite ledger may lie: not on a network, where its locks do not hold."""

from pathlib import Path

from registry.oci.errors import StorageUnavailable

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "9p", "afs", "virtiofs"}
MOUNTS = Path("/proc/self/mountinfo")


def refuse_network_file_system(path: Path, mounts: Path = MOUNTS) -> None:
    """Raise StorageUnavailable if *path* is on a network's file system (sqlite.org/wal.html, 1)."""
    kind = file_system(path.absolute(), mounts)
    if kind in _NETWORK or kind.startswith("fuse."):
        raise StorageUnavailable(
            f"the ledger's file would lie on {kind}, where SQLite's locks do not hold: "
            "put it on a local disk, or set ledger.url to a PostgreSQL"
        )


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that *path* lies on, by the kernel (proc_pid_mountinfo(5))."""
    found, kind = -1, ""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    resolved = path.resolve()
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = Path(fields.split(" ")[4].replace("\\040", " "))
        if resolved.is_relative_to(point) and len(point.parts) >= found:
            found, kind = len(point.parts), rest.split(" ")[0]
    return kind
