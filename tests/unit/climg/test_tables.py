"""Layout of tables: the talk's own listing, and narrow terminals."""

import re

from hypothesis import given
from hypothesis import strategies as st

from climg import tables
from climg.chains import Catalogue
from climg.records import Record
from climg.text import width_of
from support.shelf import TALK, document, identifier

A, B, C, D, E, F, G = (
    identifier(number)
    for number in (
        0xFB9205AC, 0x4DD5113F, 0xFEABBBF4, 0x4A7BC8ED, 0xF71C1BC2, 0x69240924, 0x666E690A
    )
)  # fmt: skip
TITLES = (
    "ID Name Disk_format Size Is_public Min_disk Min_ram Status Preference Parent_id".split()  # noqa: SIM905
)


def history() -> list[Record]:
    catalogue = Catalogue(TALK)
    named = catalogue.named()
    catalogue.complete(named)
    return catalogue.history(named)


def words(line: str) -> list[str]:
    return re.split(r" {2,}", line)


def test_a_history_reads_like_the_talks() -> None:
    lines = tables.listing(history())
    rest = ["False", "0", "0", "active", "0"]
    assert [words(line) for line in lines] == [
        TITLES,
        [A, "docker-centos", "docker", "10240", *rest, B],
        [B, "docker", "10240", *rest, C],
        [C, "docker", "10240", *rest, D],
        [D, "docker", "10240", *rest, E],
        [E, "docker", "202004480", *rest, F],
        [F, "docker", "10240", *rest],
        [G, "cirros-0.3.2-x86_64-disk.img", "qcow2", "13167616", "True", *rest[1:]],
        ["**** Total: 7 ****"],
    ]
    starts = {line.index("docker ") for line in lines[2:7]}
    assert starts == {lines[0].index("Disk_format")}, "columns stand under their titles"


def test_a_list_of_nothing_has_titles_and_a_total() -> None:
    lines = tables.listing([], 60)
    assert lines[-1] == "**** Total: 0 ****"
    assert len(lines) == 2


def test_eighty_columns_hold_every_number_and_the_starts_of_ids() -> None:
    lines = tables.listing(history(), 80)
    assert max(map(width_of, lines)) <= 80
    assert lines[1].split() == [
        "fb9205ac…", "docker-centos", "docker", "10240", "False", "0", "0", "active", "0",
        "4dd5113f…",
    ]  # fmt: skip
    assert "202004480" in lines[5]


def test_forty_columns_still_tell_id_name_and_size() -> None:
    lines = tables.listing(history(), 40)
    assert max(map(width_of, lines)) <= 40
    assert lines[0].split()[:2] == ["ID", "Name"]
    assert "202004480" in lines[5]
    assert lines[5].startswith("f71c1bc2…")


TEXTS = st.text(min_size=0, max_size=30)


@given(st.lists(st.tuples(TEXTS, st.integers(0, 10**12), TEXTS), max_size=5), st.integers(1, 250))
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(
    rows: list[tuple[str, int, str]], width: int
) -> None:
    records = [
        Record.parse(document(number, name, size=size, status=status))
        for number, (name, size, status) in enumerate(rows, 1)
    ]
    lines = tables.listing(records, width)
    assert all(width_of(line) <= width for line in lines[:-1])
    if width >= 40:
        for record, line in zip(records, lines[1:], strict=False):
            assert str(record.size) in line
    whole = tables.listing(records)
    assert all(record.id in line for record, line in zip(records, whole[1:], strict=False))


def test_what_a_record_says_cannot_steer_the_terminal() -> None:
    nasty = Record.parse(document(1, "a\x1b[2J\r\nb\u202ec\x9b", status="\tx"))
    line = tables.listing([nasty])[1]
    assert line.isprintable()
    assert "a\N{REPLACEMENT CHARACTER}[2J b" in line


def test_pairs_go_on_in_the_next_line() -> None:
    lines = tables.pairs([("name", "x" * 25), ("id", "")], 16)
    assert lines == ["name  xxxxxxxxxx", "      xxxxxxxxxx", "      xxxxx", "id"]
    assert tables.pairs([("name", "x" * 25)]) == ["name  " + "x" * 25]


def test_fields_are_all_that_a_record_says() -> None:
    record = Record.parse(document(1, "app", oci_b="2", oci_a="1"))
    fields = tables.fields(record, {"payments": "pending"})
    assert fields[0] == ("id", identifier(1))
    assert fields[-3:] == [("oci_a", "1"), ("oci_b", "2"), ("shared_with", "payments (pending)")]
