"""The ledger's database: reachable, migrated, this store's, and as durable as a 201 promises."""

from sqlalchemy import make_url

from registry import agreement
from registry.config import Config
from registry.doctor.findings import Finding, compare_clock
from registry.oci.errors import RegistryError
from registry.storage.ledger import SqlLedger
from registry.storage.ports.journal import Journal

START = "`berth serve` makes and migrates them when it starts"
REACH = "see that the database runs, and that ledger.url, user and password are right"
NEEDED = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": None}
"""PostgreSQL's settings (None: anything but off) without which a power cut takes what was
acknowledged (postgresql.org/docs/current/runtime-config-wal.html)."""


async def look_at_ledger(config: Config, ledger: SqlLedger, journal: Journal) -> list[Finding]:
    """Reads only: neither tables nor a store are founded by it."""
    where = make_url(config.ledger_url).render_as_string(hide_password=True)
    try:
        present, newest = await ledger.versions()
    except RegistryError as error:
        return [Finding("ledger", good=False, found=f"{where}: {error.detail}", mend=REACH)]
    found = [Finding("ledger", good=True, found=f"{where} answers")]
    if present != newest:
        words = f"tables of version {present or 'none'}, and this release has {newest}"
        found.append(Finding("ledger's tables", good=False, found=words, mend=START))
    else:
        found.append(Finding("ledger's tables", good=True, found=f"version {present}"))
        found.append(await _compare(ledger, journal))
    found.append(compare_clock("the ledger", await ledger.clock()))
    return [*found, *await _durability(config, ledger)]


async def _compare(ledger: SqlLedger, journal: Journal) -> Finding:
    what = "ledger and store"
    try:
        if await ledger.identity() is None and not await journal.heads():
            return Finding(what, good=True, found="neither was ever used")
        reason = await agreement.check(journal, ledger)
    except RegistryError as error:
        return Finding(what, good=False, found=str(error.detail or error))
    if reason is None:
        return Finding(what, good=True, found="they fit together")
    reason, _, mend = reason.partition("; ")
    return Finding(what, good=False, found=reason, mend=mend or "name the ledger of this store")


async def _durability(config: Config, ledger: SqlLedger) -> list[Finding]:
    settings = await ledger.settings([*NEEDED, "max_connections"])
    if not settings:
        return []  # SQLite's are set by us
    wrong = [
        f"{name} = {settings[name]}"
        for name, value in NEEDED.items()
        if settings[name] != (value or settings[name]) or settings[name] == "off"
    ]
    wanted = config.http.workers * ledger.connections
    return [
        Finding(
            "ledger's durability",
            not wrong,
            ", ".join(wrong) or "commits are on the disk when they are answered",
            "turn them on in postgresql.conf: a power cut would take what was acknowledged",
        ),
        Finding(
            "ledger's connections",
            int(settings["max_connections"]) > wanted,
            f"max_connections = {settings['max_connections']}, and {config.http.workers} workers "
            f"may open {wanted}",
            "raise max_connections in postgresql.conf, for the workers of all replicas together",
        ),
    ]
