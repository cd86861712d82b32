"""climg takes back what was deleted, before and after the database was lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.storage.journal_file import FilesystemJournal
from support.clients import Skopeo
from support.climgcalls import Climg
from support.images import Images
from support.server import ALICE, CAROL, Server, Settings, running_server

APP = "library/app"
ALICES = {"BERTH_USER": ALICE.name, "BERTH_PASSWORD": ALICE.password}
CAROLS = {"BERTH_USER": CAROL.name, "BERTH_PASSWORD": CAROL.password}


@pytest.fixture
def server(small: Images, tmp_path: Path) -> Iterator[Server]:
    with running_server(Settings(auth=True)) as server:
        skopeo = Skopeo(tmp_path)
        skopeo.login(server.address, ALICE)
        for tag in ("1", "2"):
            skopeo.push(small.image, f"{server.address}/{APP}:{tag}")
        yield server


def test_what_was_deleted_is_taken_back(server: Server, tmp_path: Path) -> None:
    climg = Climg(server.url)
    (digest,) = {row["ID"] for row in climg.rows("--name", "app:1", **ALICES)}
    climg.said("image-delete", "--yes", f"{APP}:1", **ALICES)
    head, row, total = climg.said("trash-list", APP, **ALICES)
    assert head.split() == ["Deleted", "Repository", "Tags", "Digest", "Size", "Until"]
    assert row.split()[1:3] == [APP, "1"]
    assert total == "**** Total: 1 ****"
    assert "role member" in climg.refused(1, "image-undelete", f"{APP}:1", **CAROLS)
    assert "role member" in climg.refused(1, "repository-delete", "-y", APP, **CAROLS)
    (said,) = climg.said("image-undelete", f"{APP}:1", **ALICES)
    assert said.startswith(f"restored {APP}:1 (sha256:")
    (again,) = {row["ID"] for row in climg.rows("--name", "app:1", **ALICES)}
    assert again != digest, "an id that ended is not used again"
    refused = climg.refused(1, "image-undelete", f"{APP}:1", **ALICES)
    assert "its term is over" in refused
    assert "say --yes" in climg.refused(2, "repository-delete", APP, **ALICES)
    assert climg.said("repository-delete", "--yes", APP, **ALICES) == [
        f"deleted {APP}: 2 tags, 1 manifests"
    ]
    assert "nothing in" in climg.refused(1, "repository-delete", "--yes", APP, **ALICES)
    lost_and_rebuilt(server)
    lines = climg.said("image-undelete", APP, **ALICES)
    assert [line.split(" (")[0] for line in lines] == [f"restored {APP}:{tag}" for tag in "12"]
    lost_and_rebuilt(server)
    skopeo = Skopeo(tmp_path)
    skopeo.login(server.address, ALICE)
    for tag in ("1", "2"):
        skopeo.pull(f"{server.address}/{APP}:{tag}", tmp_path / tag)
    assert climg.said("trash-list", **CAROLS)[-1] == "**** Total: 0 ****"


def begin_another_log(data: Path) -> None:
    """As a server does once one is large: only those before the last are folded."""
    journal = FilesystemJournal(data)
    with journal._locked():
        journal._catch_up()
        journal._rotate()


def lost_and_rebuilt(server: Server) -> None:
    server.stop()
    for path in server.data.glob("ledger.db*"):
        path.unlink()
    server.run("rebuild")
    server.restart()


def test_a_repository_that_was_not_deleted_is_told(server: Server) -> None:
    climg = Climg(server.url)
    ended = climg.run("image-undelete", "library/none", **ALICES)
    assert ended.status == 1
    assert "was not deleted as a whole" in ended.err


def test_what_was_deleted_is_taken_back_out_of_a_folded_journal(server: Server) -> None:
    climg = Climg(server.url)
    climg.said("image-delete", "--yes", f"{APP}:1", **ALICES)
    server.stop()
    begin_another_log(server.data)
    server.restart()
    climg.said("image-delete", "--yes", f"{APP}:2", **ALICES)
    assert "lines are left" in server.run("compact")
    lost_and_rebuilt(server)
    for tag in ("1", "2"):
        (said,) = climg.said("image-undelete", f"{APP}:{tag}", **ALICES)
        assert said.startswith(f"restored {APP}:{tag} (sha256:")
