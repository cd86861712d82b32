"""What climg gives an agent."""

from climg import given
from setspec.strict import SET_BOUNDS


def test_climg_reads_as_much_as_an_agent_does() -> None:
    assert SET_BOUNDS.size == given._MOST
