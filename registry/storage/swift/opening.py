"""The account as clouds.yaml or the OS_ variables tell it."""

from registry.storage.cloud import open_session
from registry.storage.swift.account import SwiftAccount


def open_account(cloud: str | None = None) -> SwiftAccount:
    """The service user's account in *cloud* of clouds.yaml, in OS_CLOUD, or in what OS_ says.

    Raises StorageUnavailable where they do not say enough.
    """
    opened = open_session("object-store", cloud)
    return SwiftAccount(
        opened.session,
        region=opened.region,
        interface=opened.interface,
        endpoint=opened.endpoint,
    )
