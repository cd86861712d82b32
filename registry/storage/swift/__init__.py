"""Bytes and journal in OpenStack Swift. README.md says why it is built so."""

from registry.storage.swift.account import SwiftAccount
from registry.storage.swift.blobs import SwiftBlobStore
from registry.storage.swift.journal import SwiftJournal
from registry.storage.swift.opening import open_account

__all__ = ["SwiftAccount", "SwiftBlobStore", "SwiftJournal", "open_account"]
