"""What may be left of attempts that broke off, and what only people can have said."""

import pytest

from registry.storage.sharing import Members, Sharing, may_be_left

NOBODY = Sharing("private")
OPEN = Sharing("shared")
HATS = Sharing("shared", (("hats", "pending"),))
BOTH = Sharing("shared", (("gloves", "accepted"), ("hats", "pending")))
BOTH_WAIT = Sharing("shared", (("gloves", "pending"), ("hats", "pending")))
GLOVES = Sharing("shared", (("gloves", "accepted"),))
ALL = Sharing("community")


@pytest.mark.parametrize(
    ("seen", "agreed", "kept", "tried"),
    [
        (NOBODY, NOBODY, (), ()),
        (HATS, HATS, HATS.members, ()),
        (NOBODY, None, (), (NOBODY,)),
        (OPEN, None, (), (HATS,)),
        (BOTH_WAIT, None, (), (BOTH,)),
        (OPEN, NOBODY, (), (HATS,)),
        (NOBODY, NOBODY, (), (HATS,)),
        (HATS, NOBODY, (), (HATS, ALL)),
        (ALL, NOBODY, (), (HATS, ALL)),
        (HATS, ALL, HATS.members, (OPEN,)),
        (OPEN, HATS, HATS.members, (GLOVES,)),
        (BOTH, HATS, HATS.members, (GLOVES,)),
    ],
)
def test_ours(
    seen: Sharing, agreed: Sharing | None, kept: Members, tried: tuple[Sharing, ...]
) -> None:
    assert may_be_left(seen, agreed, kept, tried)


@pytest.mark.parametrize(
    ("seen", "agreed", "kept", "tried"),
    [
        (ALL, NOBODY, (), ()),
        (ALL, None, (), (NOBODY,)),
        (OPEN, HATS, HATS.members, ()),
        (BOTH, HATS, HATS.members, ()),
        (OPEN, NOBODY, (), (ALL,)),
        (OPEN, ALL, HATS.members, (NOBODY,)),
        (GLOVES, NOBODY, (), (HATS,)),
        (GLOVES, None, (), (BOTH_WAIT,)),
        (GLOVES, HATS, HATS.members, (BOTH,)),
        (HATS, ALL, (), (OPEN,)),
    ],
)
def test_peoples(
    seen: Sharing, agreed: Sharing | None, kept: Members, tried: tuple[Sharing, ...]
) -> None:
    assert not may_be_left(seen, agreed, kept, tried)
