"""What a dataclass can say of a file, each kind of value right and wrong."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest

from settings.reading import ConfigError, load
from settings.writing import toml


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Inner:
    needed: str
    size: Literal["S", "L"] = "S"


@dataclass(frozen=True, kw_only=True)
class Outer:
    number: int = 1
    rate: float = 0.5
    yes: bool = False
    text: str = "a"
    secret: str | None = field(default=None, repr=False)
    path: Path | None = None
    colour: Colour = Colour.RED
    names: tuple[str, ...] = ()
    inner: Inner = Inner(needed="x")
    many: Mapping[str, Inner] = field(default_factory=dict)
    rights: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("number must not be negative")


def read(tmp_path: Path, text: str, **variables: str) -> Outer:
    path = tmp_path / "c.toml"
    path.write_text(text)
    return load(Outer, path, variables, prefix="X_")


FULL = """
number = 7
rate = 2
yes = true
text = "say \\"so\\"\\n\\u007f"
path = "/a b"
colour = "blue"
names = ["a", "b"]
[inner]
needed = "n"
size = "L"
[many."with space"]
needed = "m"
[rights.east]
alice = "reader"
"""


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    assert (config.number, config.rate, config.yes) == (7, 2.0, True)
    assert config.text == 'say "so"\n\x7f'
    assert (config.path, config.colour) == (Path("/a b"), Colour.BLUE)
    assert config.inner == Inner(needed="n", size="L")
    assert config.many == {"with space": Inner(needed="m")}
    assert config.rights == {"east": {"alice": "reader"}}


def test_what_is_printed_reads_the_same(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    assert read(tmp_path, toml(config)) == config
    assert read(tmp_path, toml(Outer())) == Outer()


def test_a_secret_is_not_printed(tmp_path: Path) -> None:
    text = toml(read(tmp_path, "secret = 'canary'"))
    assert "canary" not in text
    assert "# secret: set, not shown" in text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("number = '1'", "number must be a whole number"),
        ("number = true", "number must be a whole number"),
        ("number = -1", "number must not be negative"),
        ("rate = 'x'", "rate must be a number"),
        ("rate = nan", "rate must be a number"),
        ("rate = -inf", "rate must be a number"),
        (f"rate = 1{'0' * 400}", "rate must be a number"),
        (f"number = {'9' * 5000}", "not TOML"),
        ("text = " + "[" * 50_000, "too deep"),
        ("yes = 1", "yes must be true or false"),
        ("path = ''", "path must be a path"),
        ('path = "a\\u0000b"', "path must be a path"),
        ("colour = 'green'", "colour must be one of red, blue"),
        ("names = 'a'", "names must be a list of strings"),
        ("names = [1]", "names must be a list of strings"),
        ("inner = 1", "inner must be a table"),
        ("[inner]\nsize = 'S'", "inner.needed is missing"),
        ("[inner]\nneeded = 'n'\nsize = 'M'", "inner.size must be one of S, L"),
        ("[many]\na = 1", "many.a must be a table"),
        ("[many.a]", "many.a.needed is missing"),
        ("[many.a]\nneeded = 'n'\nother = 1", r"other: no such key in \[many\.a\]"),
        ("other = 1", "other: no such key in the top level; there are number,"),
        ("[number]", "number must be a whole number"),
        ("=", "not TOML"),
        ("number = 99999999999999999999999999x", "not TOML"),
        (f"a{'.a' * 100_000} = 1", "too deep"),
        (f"[a{' . a' * 100_000}]", "too deep"),
        (f"inner = {{needed = 'n', ''{'.a' * 100_000} = 1}}", "too deep"),
        (f"a = 1 # {'x' * (1 << 20)}", "more than 1048576 bytes"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        read(tmp_path, text)


def test_a_long_text_and_many_short_ones_are_not_too_deep(tmp_path: Path) -> None:
    names = [f"10.0.0.{n}" for n in range(200)]
    assert read(tmp_path, f"names = {names}\ntext = '{'.' * 200}'").names == tuple(names)


@pytest.mark.parametrize("key", [r"a\nb", r"\u001b[31m", "a" * 5000])
def test_a_complaint_is_one_line_that_can_be_read(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match="no such key in the top level") as told:
        read(tmp_path, f'"{key}" = 1')
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 1000


def test_a_configuration_may_come_by_a_pipe_that_somebody_writes_to(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"number = 7")
    os.close(writing)
    assert load(Outer, Path(f"/dev/fd/{reading}")).number == 7
    os.close(reading)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="nobody writes"):
        load(Outer, tmp_path / "fifo")
    with pytest.raises(ConfigError, match="Is a directory"):
        load(Outer, tmp_path)
    assert load(Outer, Path(os.devnull)) == Outer()


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"text = '\xff'")
    with pytest.raises(ConfigError, match="not TOML"):
        load(Outer, path)


def test_variables_go_over_the_file(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        "number = 7\nnames = ['z']",
        X_NUMBER="8",
        X_RATE="1.5",
        X_YES="1",
        X_NAMES="a, b,",
        X_INNER_NEEDED="n",
        X_COLOUR="blue",
        Y_NUMBER="9",
    )
    assert (config.number, config.rate, config.yes) == (8, 1.5, True)
    assert (config.names, config.colour) == (("a", "b"), Colour.BLUE)
    assert config.inner == Inner(needed="n")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("X_NUMBER", "many", "number must be a whole number"),
        ("X_YES", "maybe", "yes must be true or false"),
        ("X_NOTHING", "1", "X_NOTHING: there is no such setting"),
        ("X_INNER_OTHER", "1", r"other: no such key in \[inner\]"),
    ],
)
def test_a_wrong_variable_is_told(tmp_path: Path, name: str, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        read(tmp_path, "", **{name: text})


def test_ignored_variables_are_anothers() -> None:
    assert load(Outer, None, {"X_URL": "u"}, prefix="X_", ignored={"X_URL"}) == Outer()
