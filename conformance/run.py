#!/usr/bin/env python3
"""Start a registry, run the OCI distribution-spec conformance suite on it, and say what it found.

    .venv/bin/python conformance/run.py [--spec 1.1|dev] [--auth none|htpasswd]
                                        [--storage embedded|openstack] [--replicas N]
                                        [--server berth|docker-registry]

With ``--storage openstack`` it starts a real Keystone and Swift too, where whoever asks signs in.
With ``--replicas`` it starts so many servers on one PostgreSQL, behind a proxy that sends every
request to another one than the last.

The last line is ``conformance: spec=... auth=... pass=N fail=N skip=N disabled=N``; the exit status
is 0 only if something passed and nothing failed, was skipped or was disabled. The suite itself
would also be content with skipped and disabled tests.

How leaf tests are counted: the suite prints its results as a tree, one line for each test, children
indented below their parent. A leaf is a line with no deeper line after it, and each leaf counts
once, by its own status; ``FAIL`` and ``Error`` (the suite's own trouble) both count as fail. The
suite's own totals are higher, for they count a status once more for each parent that set it; they
are held against too: what they call failed, skipped or disabled must be 0 as well.

``--spec 1.1`` asks for what the released spec has, and for cancelled uploads, which the suite would
otherwise list as disabled. ``--spec dev`` turns on everything that the suite has: the newest text
of the spec, and sparse manifests, which the server must be told to take.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.environment import NotReady, tool  # noqa: E402 - needs the line above
from support.openstack import running_cloud  # noqa: E402
from support.postgres import running_postgres  # noqa: E402
from support.replicas import Replicas, running_replicas  # noqa: E402
from support.server import FLAVOURS, Server, Settings, running_server  # noqa: E402

REPORTS = ROOT / ".cache" / "conformance"
"""The suite's reports, as HTML too; ignored by git."""

SECONDS = 600
"""More than ten times what a run takes."""

SPECS = {
    "1.1": {"OCI_VERSION": "1.1", "OCI_API_BLOBS_UPLOAD_CANCEL": "true"},
    "dev": {"OCI_VERSION": "dev", "OCI_DATA_SPARSE": "true"},
}
STATUSES = {
    "Pass": "pass",
    "FAIL": "fail",
    "Error": "fail",
    "Unknown": "fail",
    "Skip": "skip",
    "Disabled": "disabled",
}
LINE = re.compile(rf"^( *)(OCI Conformance Test.*): ({'|'.join(STATUSES)})$")
TOTAL = re.compile(r"^  (Pass|FAIL|Error|Skip|Disabled)\.+: +([0-9]+)$")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A test without children."""

    name: str
    status: str
    complaints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the suite found."""

    leaves: tuple[Leaf, ...]
    totals: Counter[str]
    """The suite's own sums."""

    @property
    def counts(self) -> Counter[str]:
        return Counter(leaf.status for leaf in self.leaves)

    @property
    def good(self) -> bool:
        bad = ("fail", "skip", "disabled")
        quiet = not any(self.counts[status] or self.totals[status] for status in bad)
        return quiet and self.counts["pass"] > 0 and self.totals["pass"] > 0

    def summary(self, spec: str, auth: str) -> str:
        told = " ".join(f"{s}={self.counts[s]}" for s in ("pass", "fail", "skip", "disabled"))
        return f"conformance: spec={spec} auth={auth} {told}"


def parse(output: str) -> Outcome:
    """Read what the suite printed."""
    tree: list[tuple[int, str, str, list[str]]] = []
    totals: Counter[str] = Counter()
    for line in output.splitlines():
        if match := LINE.match(line):
            indent, name, status = match.groups()
            tree.append((len(indent), name, STATUSES[status], []))
        elif match := TOTAL.match(line):
            totals[STATUSES[match[1]]] += int(match[2])
        elif tree and not totals and line.strip():
            tree[-1][3].append(line.strip().removeprefix("- "))
    depths = [depth for depth, *_ in tree[1:]] + [0]
    leaves = [
        Leaf(name, status, tuple(complaints))
        for (depth, name, status, complaints), following in zip(tree, depths, strict=True)
        if following <= depth
    ]
    return Outcome(tuple(leaves), totals)


def run(spec: str, auth: str, server: str, replicas: int) -> Outcome:
    """Start *server*, or so many of them, and run the suite on it."""
    report = place(spec, auth, replicas)
    report.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        settings = Settings(
            auth=auth == "htpasswd",
            cloud=stack.enter_context(running_cloud()) if auth == "keystone" else None,
            ledger=stack.enter_context(running_postgres()) if replicas > 1 else None,
            require_references=spec != "dev",
        )
        running: Server | Replicas
        if replicas > 1:
            running = stack.enter_context(running_replicas(settings, replicas))
        else:
            running = stack.enter_context(running_server(settings, server))
        project = "east" if settings.cloud else "conformance"
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("OCI_")},
            **SPECS[spec],
            "OCI_REGISTRY": running.address,
            "OCI_TLS": "disabled",
            "OCI_REPO1": f"{project}/repo1",
            "OCI_REPO2": f"{project}/repo2",
            "OCI_RESULTS_DIR": str(report),
        }
        if running.account is not None:
            account = running.account
            environment |= {"OCI_USERNAME": account.name, "OCI_PASSWORD": account.password}
        suite = subprocess.run(  # noqa: S603
            [tool("conformance")],
            cwd=report,  # it would read an oci-conformance.yaml of the working directory
            env=environment,
            stdout=subprocess.PIPE,
            stderr=(report / "log").open("wb"),
            timeout=SECONDS,
            check=False,
            text=True,
        )
        servers = running.servers if isinstance(running, Replicas) else [running]
        logs = b"".join(each.log.read_bytes() for each in servers)
        (report / "server.log").write_bytes(logs)
    (report / "output").write_text(suite.stdout, "utf-8")
    return parse(suite.stdout)


def place(spec: str, auth: str, replicas: int) -> Path:
    """Where a run's report lies."""
    return REPORTS / (f"{spec}-{auth}" + (f"-{replicas}" if replicas > 1 else ""))


def main() -> int:
    """Read the command line, run, report; answer the exit status."""
    words = argparse.ArgumentParser(description="Run the OCI conformance suite on a registry.")
    words.add_argument("--spec", choices=sorted(SPECS), default="1.1")
    words.add_argument("--auth", choices=["none", "htpasswd"], default="none")
    words.add_argument("--storage", choices=["embedded", "openstack"], default="embedded")
    words.add_argument("--replicas", type=int, default=1, metavar="N")
    words.add_argument("--server", choices=sorted(FLAVOURS), default="berth")
    asked = words.parse_args()
    if asked.replicas < 1 or (asked.replicas > 1 and asked.server != "berth"):
        words.error("--replicas is 1 or more, and more than 1 of berth only")
    if asked.storage == "openstack":
        asked.auth = "keystone"
    try:
        outcome = run(asked.spec, asked.auth, asked.server, asked.replicas)
    except (NotReady, OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"conformance: {error}\n")
        return 2
    lines = []
    for leaf in outcome.leaves:
        if leaf.status != "pass":
            lines.append(f"{leaf.status}: {leaf.name}")
            lines += [f"    {complaint}" for complaint in leaf.complaints]
    report = place(asked.spec, asked.auth, asked.replicas).relative_to(ROOT)
    lines += [f"report: {report}/report.html", outcome.summary(asked.spec, asked.auth)]
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
