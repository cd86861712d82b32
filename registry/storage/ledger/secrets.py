"""Secrets of the server: the keys that sign its tokens, and tokens that are void."""

from sqlalchemy import Connection, delete, select

from registry.storage.ledger.prepared import upsert
from registry.storage.ledger.schema import revoked, signing_key

_ADD_KEY = upsert(signing_key)
_REVOKE = upsert(revoked, "expires_at")


def load_keys(connection: Connection) -> list[tuple[str, bytes, float]]:
    """As in Ledger.load_keys."""
    query = select(signing_key).order_by(signing_key.c.created_at.desc(), signing_key.c.kid)
    return [(row.kid, bytes(row.pem), row.created_at) for row in connection.execute(query)]


def store_key(connection: Connection, now: float, kid: str, pem: bytes) -> None:
    """As in Ledger.store_key."""
    _ADD_KEY(connection, kid=kid, pem=pem, created_at=now)


def drop_key(connection: Connection, kid: str) -> None:
    """As in Ledger.drop_key."""
    connection.execute(delete(signing_key).where(signing_key.c.kid == kid))


def revoke(connection: Connection, now: float, token: str, expires_at: float) -> None:
    """As in Ledger.revoke; forgets those that have ended by themselves."""
    connection.execute(delete(revoked).where(revoked.c.expires_at < now))
    _REVOKE(connection, token=token, expires_at=expires_at)


def is_revoked(connection: Connection, token: str) -> bool:
    """As in Ledger.is_revoked."""
    query = select(revoked.c.token).where(revoked.c.token == token)
    return connection.execute(query).scalar() is not None
