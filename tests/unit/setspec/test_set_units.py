"""Cores, memory and disk, read and spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setspec.units import (
    CPU,
    DISK,
    GIB,
    KIB,
    MEM,
    MIB,
    TIB,
    Measure,
    parse_bytes,
    parse_cores,
    spell_bytes,
    spell_cores,
)
from support.setdraws import BUSY


@pytest.mark.parametrize(
    ("text", "millicores"),
    [("1", 1000), ("0.8", 800), ("800m", 800), ("0.001", 1), ("1.5000", 1500), ("2.000m", 2)],
)
def test_cores(text: str, millicores: int) -> None:
    assert parse_cores(text) == millicores


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4096B", 4096),
        ("1k", 1000),
        ("1kB", 1000),
        ("1Ki", KIB),
        ("512Mi", 512 * MIB),
        ("512MiB", 512 * MIB),
        ("1.5G", 1_500_000_000),
        ("0.5GiB", GIB // 2),
        ("2T", 2 * 10**12),
        ("3Ti", 3 * TIB),
        ("100M", 10**8),
    ],
)
def test_bytes(text: str, number: int) -> None:
    assert parse_bytes(text) == number


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1e3", ".5", "1.", "0.8M", "1 ", "٣", "1234567890123"]
)
def test_no_cores(text: str) -> None:
    with pytest.raises(ValueError, match="must be cores"):
        parse_cores(text)


@pytest.mark.parametrize("text", ["", "5", "5K", "5KB", "5mi", "5 Mi", "-5Mi", "5MiBB", "5\n"])
def test_no_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="with its unit"):
        parse_bytes(text)


def test_a_part_of_the_smallest_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of millicores"):
        parse_cores("0.0005")
    with pytest.raises(ValueError, match="whole number of bytes"):
        parse_bytes("0.0001Ki")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0B"), (1, "1B"), (KIB, "1Ki"), (1536, "1536B"), (3 * TIB, "3Ti"), (1025 * GIB, "1025Gi")],
)
def test_bytes_are_spelled_by_the_largest_unit_that_divides_them(number: int, text: str) -> None:
    assert spell_bytes(number) == text


@BUSY
@given(st.integers(0, 2**63))
def test_what_is_spelled_is_read(number: int) -> None:
    assert parse_bytes(spell_bytes(number)) == number
    assert parse_cores(spell_cores(number % 10_000_000)) == number % 10_000_000


@pytest.mark.parametrize(
    ("measure", "least", "most"),
    [(CPU, "10m", "1000"), (MEM, "4Mi", "16Ti"), (DISK, "16Mi", "64Ti")],
)
def test_a_measure_has_bounds(measure: Measure, least: str, most: str) -> None:
    assert measure.read(least) == measure.minimum
    assert measure.read(most) == measure.maximum


@pytest.mark.parametrize("text", ["9m", "1001", "0"])
def test_cores_beyond_their_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="at least 10m and at most 1000000m"):
        CPU.read(text)


@pytest.mark.parametrize("text", ["1Mi", "17Ti"])
def test_memory_beyond_its_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="at least 4Mi and at most 16Ti"):
        MEM.read(text)
