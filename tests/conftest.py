"""What holds for every test: in CI a skip fails the run; one PostgreSQL and one cloud serve all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.openstack import OpenStack, running_cloud
from support.postgres import running_postgres

SLOWEST = ("system", "host", "stateful", "contract")
"""Directories whose files take longer than those of all others."""

skipped: list[str] = []


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        skipped.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        skipped.append(report.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> object:
    if in_ci() and skipped and session.exitstatus in (pytest.ExitCode.OK, 0):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if in_ci() and skipped:
        terminalreporter.write_line(
            f"CI runs every test, but {len(skipped)} were skipped: the run fails.", red=True
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: where one ends the run, the other cores are idle."""
    patience: dict[Path, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        seconds = float(mark.args[0]) if mark else 0.0
        patience[item.path] = max(seconds, patience.get(item.path, 0.0))
    tests = Path(__file__).parent

    def turn(item: pytest.Item) -> tuple[float, int]:
        folder = item.path.relative_to(tests).parts[0]
        return -patience[item.path], SLOWEST.index(folder) if folder in SLOWEST else len(SLOWEST)

    items.sort(key=turn)


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """SQLAlchemy's URL of a real PostgreSQL, started at the first test that asks for it.

    It is shared: a test that must be alone makes a schema or a database of its own.
    """
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def openstack() -> Iterator[OpenStack]:
    """A real Keystone, Glance and Swift, started at the first test that asks for them.

    They are shared: a test makes projects, containers and records of its own, and starts again
    what it stops.
    """
    with running_cloud() as cloud:
        yield cloud
