"""Sizes for people (pure)."""

from typing import Final

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def human(size: int) -> str:
    """A number of bytes, short: ``734 bytes``, ``1.5 GiB``."""
    if size < 1024:
        return f"{size} bytes"
    value, unit = size / 1024, _UNITS[0]
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.1f} {unit}" if value % 1 else f"{value:.0f} {unit}"
