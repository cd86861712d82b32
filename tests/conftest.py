"""What holds for every test: in CI a skipped one is a failed run."""

import os

import pytest

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
