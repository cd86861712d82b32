"""What a client carries and must not read."""

import pytest

from registry.auth.seal import Seal

KEY, OTHER = b"k" * 32, b"o" * 32


def test_what_is_sealed_is_read_again_and_looks_different_each_time() -> None:
    seal = Seal(KEY)
    first, second = seal.close("gAAAA-token", "alice"), seal.close("gAAAA-token", "alice")
    assert first != second
    assert "gAAAA" not in first
    assert seal.open(first, "alice") == Seal(KEY).open(second, "alice") == "gAAAA-token"


def test_nothing_else_is_opened() -> None:
    sealed = Seal(KEY).close("gAAAA-token", "alice")
    changed = sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:]
    for bad in ("", "x", "====", "é", sealed[:-8], sealed[:12], changed):
        with pytest.raises(ValueError, match="not sealed here"):
            Seal(KEY).open(bad, "alice")
    for seal, place in ((Seal(KEY), "bob"), (Seal(OTHER), "alice")):
        with pytest.raises(ValueError, match="not sealed here"):
            seal.open(sealed, place)
