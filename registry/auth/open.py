"""Nobody signs in: whoever reaches the server may do all. For loopback alone."""

from registry.auth.ports import EVERYWHERE, Principal, Reach

ANYONE = Principal("anyone", "anyone", admin=True)


class OpenIdentity:
    """Knows one principal, who may do everything."""

    async def authenticate(
        self, username: str, password: str, reach: Reach = EVERYWHERE
    ) -> Principal:
        del username, password, reach
        return ANYONE

    async def verify(
        self, token: str, reach: Reach = EVERYWHERE, *, anew: bool = False
    ) -> Principal:
        del token, reach, anew
        return ANYONE

    async def find_principal(self, subject: str, claimed: Principal | None = None) -> Principal:
        del subject, claimed
        return ANYONE

    async def close(self) -> None:
        """Nothing is open."""
