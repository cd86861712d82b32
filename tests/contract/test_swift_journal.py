"""The journal in Swift: the port's promises on a real one, and what lies there."""

from collections.abc import AsyncIterator

import pytest

from contract.journal_contract import JournalContract
from registry.storage.ports import Journal
from registry.storage.swift import SwiftJournal
from support.openstack import OpenStack
from support.swift import account_of, new_prefix


class TestSwiftJournal(JournalContract):
    @pytest.fixture
    async def journal(self, openstack: OpenStack) -> AsyncIterator[Journal]:
        async with account_of(openstack) as account:
            yield SwiftJournal(account, prefix=new_prefix())
