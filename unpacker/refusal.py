"""Why a layer is not taken."""


class Refused(Exception):
    """The layer holds what no layer may hold; the text says what, where, why."""


def shown(name: bytes) -> str:
    """A name out of a layer, for people: short, and printable whatever it holds."""
    text = name.decode("utf-8", "replace")
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return f"'{text[:120]}…'" if len(text) > 120 else f"'{text}'"
