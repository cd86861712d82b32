"""Moments in UTC, as RFC 3339 writes them."""

import re
from datetime import UTC, datetime

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)


def parse_moment(text: str) -> datetime:
    """The moment that *text* is, in UTC. Raises ValueError."""
    if not _MOMENT.fullmatch(text):
        raise ValueError("must be a moment in UTC, as in 2026-02-03T04:05:06.789Z")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a moment that the calendar has") from None


def spell_moment(moment: datetime) -> str:
    """*moment*, which knows its zone, in UTC with a Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
