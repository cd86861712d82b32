"""Whose ledger this is, and whether it is whole."""

from sqlalchemy import Connection, select, update

from registry.oci.errors import StorageUnavailable
from registry.storage.ledger.apply import forget_unlinked
from registry.storage.ledger.lines import wait_for_changes
from registry.storage.ledger.prepared import upsert
from registry.storage.ledger.schema import store
from registry.storage.records import StoreIdentity

_ADD_STORE = upsert(store)


def find(connection: Connection) -> tuple[StoreIdentity, bool] | None:
    """As in Ledger.identity."""
    row = connection.execute(select(store)).one_or_none()
    return None if row is None else (StoreIdentity(row.identity, row.epoch), row.whole)


def found(connection: Connection, identity: StoreIdentity, *, whole: bool) -> None:
    """As in Ledger.found."""
    # The first to come; the others wait here.
    _ADD_STORE(connection, one=1, identity=identity.store, epoch=identity.epoch, whole=whole)
    row = connection.execute(select(store).with_for_update()).one()
    if (row.identity, row.epoch) != (identity.store, identity.epoch):
        raise StorageUnavailable(f"the ledger belongs to store {row.identity} already")
    connection.execute(update(store).values(whole=whole))
    if whole:
        forget_unlinked(connection)
    else:
        wait_for_changes(connection)
