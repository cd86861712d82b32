"""What holds for every test: in CI a skip fails the run; one PostgreSQL and one cloud serve all."""

import os
from collections.abc import Iterator

import pytest

from support.openstack import OpenStack, running_cloud
from support.postgres import running_postgres

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
