"""Records as the registry itself shows them: visibility and members that the ledger holds."""

from collections.abc import Sequence

from registry import sharing
from registry.auth.ports import Principal
from registry.sharing import Caller
from registry.storage.ports.ledger import Ledger
from registry.storage.records import ImageRecord


class LedgerViewer:
    """The Viewer where no other image service is: what is taken back is refused at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def can_ask(self, principal: Principal) -> bool:
        """As in Viewer: of everybody, for his roles are known."""
        del principal
        return True

    async def find_seen(
        self, principal: Principal, records: Sequence[ImageRecord]
    ) -> frozenset[str]:
        """As in Viewer."""
        caller = Caller(principal, frozenset())
        return frozenset(
            [each.id for each in records if await sharing.is_seen(self._ledger, caller, each)]
        )

    async def close(self) -> None:
        """Nothing is open."""
