import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from hostbase.database import Database
from support.environment import wait_until

TABLE = "CREATE TABLE t (name TEXT PRIMARY KEY, value TEXT)"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "d.db")
    made.migrate([TABLE])
    yield made
    made.close()


def names(path: Path) -> set[str]:
    """What another program sees in the file."""
    with sqlite3.connect(path) as other:
        return {name for (name,) in other.execute("SELECT name FROM t")}


def put(database: Database, name: str, value: str = "") -> None:
    with database.transaction():
        database.execute("INSERT INTO t VALUES (?, ?)", (name, value))


@contextmanager
def gathered(database: Database, *works: Callable[[], None]) -> Iterator[list[Future[None]]]:
    """Carry out *works*, each in a thread; no commit begins before all of them wait for one."""
    begun: list[str] = []
    database._writer.set_trace_callback(begun.append)
    with ThreadPoolExecutor(len(works)) as pool:
        with database._committing:
            futures = [pool.submit(work) for work in works]
            wait_until(lambda: begun.count("RELEASE mine") == len(works), "all of them", 10)
            assert not any(each.done() for each in futures)
        wait_until(lambda: all(each.done() for each in futures), "their end", 10)
        yield futures
    assert begun.count("COMMIT") == 1


def test_those_who_wait_are_committed_together(database: Database, tmp_path: Path) -> None:
    works = [lambda n=n: put(database, str(n)) for n in range(8)]
    with gathered(database, *works) as futures:
        assert [each.exception() for each in futures] == [None] * 8
    assert names(tmp_path / "d.db") == {str(n) for n in range(8)}


def test_who_returns_is_on_the_disk(database: Database, tmp_path: Path) -> None:
    def check(number: int) -> bool:
        put(database, str(number))
        return str(number) in names(tmp_path / "d.db")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(check, range(200)))


def test_one_that_fails_takes_nothing_of_the_others_with_it(
    database: Database, tmp_path: Path
) -> None:
    def fail() -> None:
        with database.transaction():
            database.execute("INSERT INTO t VALUES ('half', '')")
            raise ValueError("no")

    with gathered(database, lambda: put(database, "a"), fail, lambda: put(database, "b")) as done:
        assert [type(each.exception()) for each in done] == [type(None), ValueError, type(None)]
    assert names(tmp_path / "d.db") == {"a", "b"}
    with pytest.raises(ValueError, match="no"):
        fail()
    assert not database._writer.in_transaction


def test_within_a_transaction_one_sees_ones_own_and_others_do_not(database: Database) -> None:
    seen: list[list[tuple[str]]] = []
    with database.transaction():
        put(database, "mine")
        assert database.query("SELECT name FROM t") == [("mine",)]
        other = threading.Thread(target=lambda: seen.append(database.query("SELECT name FROM t")))
        other.start()
        other.join(10)
        assert seen == [[]]  # and did not wait
    assert database.query("SELECT name FROM t") == [("mine",)]


def test_who_changes_nothing_waits_for_no_commit(database: Database) -> None:
    put(database, "there")
    begun: list[str] = []
    database._writer.set_trace_callback(begun.append)
    with database._committing, database.transaction():
        assert database.query("SELECT name FROM t") == [("there",)]
    with pytest.raises(ValueError, match="no"), database._committing, database.transaction():
        raise ValueError("no")
    assert begun == ["SELECT name FROM t"]


def test_who_only_reads_in_a_transaction_keeps_writers_away(database: Database) -> None:
    with database.transaction():
        before = database.query("SELECT name FROM t")
        other = threading.Thread(target=lambda: put(database, "later"))
        other.start()
        other.join(0.05)
        assert database.query("SELECT name FROM t") == before == []
        put(database, "mine")
    other.join(10)
    assert database.query("SELECT name FROM t ORDER BY name") == [("later",), ("mine",)]


def test_on_a_full_disk_everybody_is_told_what_is_so(database: Database, tmp_path: Path) -> None:
    pages = database.query("PRAGMA page_count")[0][0]
    database._writer.execute(f"PRAGMA max_page_count = {pages + 4}")
    large = "x" * 4096 * 20
    works = [lambda: put(database, "a"), lambda: put(database, "large", large)]
    with ThreadPoolExecutor(2) as pool:
        told = {name: pool.submit(work).exception() for name, work in zip("al", works, strict=True)}
    assert isinstance(told["l"], sqlite3.Error)
    assert names(tmp_path / "d.db") == ({"a"} if told["a"] is None else set())
    put(database, "later")
    assert "later" in names(tmp_path / "d.db")
