"""What store lies in a directory: a file beside the blobs says it, and its ledger the same."""

import json
from pathlib import Path
from typing import Final

from registry.oci.errors import StorageUnavailable
from registry.storage.durable import put_aside, sync_directory
from registry.storage.records import StoreIdentity

_NAME: Final = "store.json"


def is_founded(directory: Path) -> bool:
    """Whether a store was ever made in *directory*; nothing is made by asking. Raises OSError."""
    return (directory / "meta" / _NAME).exists()


def read(meta: Path) -> StoreIdentity | None:
    """What *meta* says; None where nothing does. Raises StorageUnavailable and OSError."""
    path = meta / _NAME
    try:
        content = json.loads(path.read_bytes())
        return StoreIdentity(str(content["store"]), int(content["epoch"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise StorageUnavailable(f"{path.name} of the store is damaged") from error


def found(meta: Path, identity: StoreIdentity) -> None:
    """Have *meta* say *identity*, durably; for whoever is alone at it.

    Raises StorageUnavailable if it says another, and OSError.
    """
    present = read(meta)
    if present is None:
        content = {"store": identity.store, "epoch": identity.epoch}
        put_aside(meta / _NAME, json.dumps(content).encode() + b"\n")
    elif present != identity:
        raise StorageUnavailable(
            f"the store is {present.store}, epoch {present.epoch}, "
            f"and not {identity.store}, epoch {identity.epoch}"
        )
    else:
        sync_directory(meta)  # who founded it may have died before
