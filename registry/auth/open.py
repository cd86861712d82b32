"""Nobody signs in: whoever reaches the server may do all. For loopback alone."""

from registry.auth.ports import Principal

ANYONE = Principal("anyone", "anyone", admin=True)


class OpenIdentity:
    """Knows one principal, who may do everything."""

    async def authenticate(self, username: str, password: str) -> Principal:
        del username, password
        return ANYONE

    async def find_principal(self, subject: str) -> Principal:
        del subject
        return ANYONE
