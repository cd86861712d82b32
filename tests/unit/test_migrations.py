"""The ledger's migrations come one after the other."""

import re

from support.environment import ROOT

VERSIONS = ROOT / "registry" / "storage" / "ledger" / "migrations" / "versions"


def test_each_migration_follows_the_one_before_it() -> None:
    before = None
    for path in sorted(VERSIONS.glob("[0-9]*.py")):
        text = path.read_text("utf-8")
        found = re.search(r'^revision = "(\d+)"$', text, re.MULTILINE)
        down = re.search(r'^down_revision = (?:None|"(\d+)")$', text, re.MULTILINE)
        assert found, path.name
        assert down, path.name
        assert path.name.startswith(f"{found[1]}_")
        assert down[1] == before, f"{path.name} should follow {before}"
        before = found[1]
    assert before is not None
