"""What was measured, for people and for programs."""

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from bench.measure import Figures
from bench.rows import MIB, Row
from support.environment import ROOT

ROLES = ("ours", "peer")
RAW = "raw"
"""Plain requests to the Swift that both are on."""

LEGEND = """\
CPU: the server's, for each GiB or each operation. RSS, PSS: peaks of its process tree.
client: the generator's processor time, in % of one core; !: more than the server's, so the row says
as much about the generator. others: what neither used, in % of the machine; above 10 is noisy."""


@dataclass(slots=True)
class Result:
    """A row with its measurements, one for each round, by role."""

    row: Row
    figures: dict[str, list[Figures]] = field(
        default_factory=lambda: {role: [] for role in (*ROLES, RAW)}
    )
    failures: dict[str, str] = field(default_factory=dict)

    def middle(self, role: str, value: Callable[[Figures], float]) -> float:
        """Answer the median of a value over the rounds."""
        return median(value(each) for each in self.figures[role])

    @property
    def complete(self) -> bool:
        return not self.failures.keys() & set(ROLES) and all(self.figures[role] for role in ROLES)

    @property
    def ratio(self) -> float:
        """Throughput, ours over the peer's."""
        ours, peer = (self.middle(role, lambda f: f.rate(self.row)) for role in ROLES)
        return ours / peer

    @property
    def limit_ratio(self) -> float | None:
        """Throughput, ours over that of plain requests; None where there were none."""
        if not (self.complete and self.figures[RAW]):
            return None
        ours, raw = (self.middle(role, lambda f: f.rate(self.row)) for role in (ROLES[0], RAW))
        return ours / raw

    @property
    def cpu_ratio(self) -> float | None:
        """The server's processor time, the peer's over ours; None if too little to be counted."""
        ours, peer = (self.middle(role, lambda f: f.cpu(self.row)) for role in ROLES)
        return peer / ours if ours and peer else None

    def client_bound(self, role: str) -> bool:
        """Whether the generator used more processor time than the server that it measured."""
        client = self.middle(role, lambda f: f.client_cpu)
        return client > self.middle(role, lambda f: f.server_cpu)


def show(console: Console, results: list[Result], kinds: dict[str, str]) -> None:
    """Print the table."""
    title = "medians; c = concurrency, s = streams"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("row", "server"):
        table.add_column(name, no_wrap=True)
    for name in (
        "rate", "", "ratio", "p50 ms", "p99 ms", "CPU", "", "RSS MiB", "PSS MiB", "client",
        "others", "",
    ):  # fmt: skip
        table.add_column(name, no_wrap=True, justify="right" if name else "left")
    for result in results:
        for role in ROLES:
            first = role == ROLES[0]
            name = result.row.name if first else ""
            if role in result.failures:
                table.add_row(name, kinds[role], "failed")
            elif result.figures[role]:
                ratio = f"{result.ratio:.2f}" if first and result.complete else ""
                table.add_row(name, kinds[role], *_cells(result, role, ratio))
        if result.figures[RAW]:
            rate = result.middle(RAW, lambda f, row=result.row: f.rate(row))  # type: ignore[misc]
            limit = "" if result.limit_ratio is None else f"{result.limit_ratio:.2f}"
            table.add_row("", "plain Swift", f"{rate:,.0f}", result.row.unit, limit)
    console.print(table)
    console.print(LEGEND)


def _cells(result: Result, role: str, ratio: str) -> Iterator[str]:
    row = result.row

    def middle(value: Callable[[Figures], float]) -> float:
        return result.middle(role, value)

    yield f"{middle(lambda f: f.rate(row)):,.0f}"
    yield row.unit
    yield ratio
    for value in (middle(lambda f: f.p50), middle(lambda f: f.p99)):
        yield f"{value * 1e3:.2f}" if value else ""
    cpu = middle(lambda f: f.cpu(row))
    yield f"{cpu:.2f}" if row.counts_bytes else f"{cpu * 1e6:,.0f}"
    yield "s/GiB" if row.counts_bytes else "µs/op"
    yield f"{middle(lambda f: f.peak_rss) / MIB:,.0f}"
    yield f"{middle(lambda f: f.peak_pss) / MIB:,.0f}"
    mark = "!" if result.client_bound(role) else ""
    yield f"{middle(lambda f: f.client_cpu / f.seconds) * 100:.0f}{mark}"
    yield f"{middle(lambda f: f.others) * 100:.0f}"
    # The last column: what else a reader must know.
    notes = {each.note for each in result.figures[role] if each.note}
    reconnects = sum(each.reconnects for each in result.figures[role])
    yield "; ".join(sorted(notes) + ([f"{reconnects} reconnects"] if reconnects else []))


def lines(results: list[Result], kinds: dict[str, str]) -> Iterator[str]:
    """Answer the last lines, made to be read by programs: more is better in every ratio."""
    for result in results:
        for role, failure in result.failures.items():
            what = kinds.get(role, "plain requests")
            yield f"failed {result.row.name} {what}: {' '.join(failure.split())}"
    whole = [result for result in results if result.complete]
    for result in whole:
        bound = [kinds[role] for role in ROLES if result.client_bound(role)]
        mark = f" (client used more CPU than {', '.join(bound)})" if bound else ""
        yield f"ratio {result.row.name} {result.ratio:.2f}{mark}"
    for result in whole:
        if (limit := result.limit_ratio) is not None:
            yield f"limit {result.row.name} {limit:.2f}"
    for result in whole:
        if (ratio := result.cpu_ratio) is not None:
            yield f"ratio cpu/{result.row.name} {ratio:.2f}"
    yield from _memory(whole)


def _memory(whole: list[Result]) -> Iterator[str]:
    for result in whole:
        if result.row.reports_memory:
            yield f"memory {result.row.name} growth-MiB {_pair(result, lambda f: f.growth)}"
            yield f"memory {result.row.name} idle-MiB {_pair(result, lambda f: f.idle_pss)}"
    if whole:
        peaks = (max(r.middle(role, lambda f: f.peak_pss) for r in whole) for role in ROLES)
        ours, peer = (peak / MIB for peak in peaks)
        yield f"memory all-rows peak-MiB ours={ours:.1f} peer={peer:.1f}"


def _pair(result: Result, value: Callable[[Figures], float]) -> str:
    return " ".join(f"{role}={result.middle(role, value) / MIB:.1f}" for role in ROLES)


def document(results: list[Result], settings: dict[str, object]) -> dict[str, object]:
    """Answer all raw figures and the facts of the machine, for --json."""
    return {
        "machine": machine(),
        "settings": settings,
        "rows": [
            {
                "name": result.row.name,
                "unit": result.row.unit,
                "arguments": result.row.arguments,
                "ratio": result.ratio if result.complete else None,
                "cpu_ratio": result.cpu_ratio if result.complete else None,
                "failures": result.failures,
                **{role: [asdict(each) for each in some] for role, some in result.figures.items()},
            }
            for result in results
        ],
    }


def machine() -> dict[str, object]:
    """Answer what the figures depend on besides the servers."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": model,
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "filesystem": filesystem(ROOT),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "go": _says("go", "version"),
        "peer": _says("docker-registry", "--version"),
        "commit": _says("git", "describe", "--always", "--dirty"),
    }


def filesystem(path: Path) -> str:
    """Answer the type of the file system that *path* is on."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    holding = [mount for mount in mounts if path.is_relative_to(mount[1])]
    return max(holding, key=lambda mount: len(mount[1]))[2]


def _says(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, capture_output=True, check=False, text=True
        )
    except OSError as error:
        return str(error)
    return done.stdout.strip()
