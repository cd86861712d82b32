"""climg as people run it to change things: who may, who is asked, and what is left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import make_certificate
from support.clients import Skopeo
from support.climgcalls import Climg, read_table
from support.images import Images
from support.programs import run_on_terminal
from support.roundtrip import reading
from support.server import ALICE, CAROL, Server, Settings, running_server


@pytest.fixture(scope="module")
def images() -> Iterator[Server]:
    with running_server(Settings()) as server:
        yield server


@pytest.fixture(scope="module")
def climg(images: Server) -> Climg:
    return Climg(images.url)


@pytest.fixture
def fresh(images: Server, small: Images, tmp_path: Path) -> str:
    """library/fresh:1 and :2, which a test may change."""
    skopeo = Skopeo(tmp_path)
    for tag in ("1", "2"):
        skopeo.push(small.image, f"{images.address}/library/fresh:{tag}")
    return "library/fresh"


def test_deleting_an_image_removes_its_tag_alone(
    climg: Climg, images: Server, fresh: str, small: Images
) -> None:
    assert climg.said("image-delete", "--yes", f"{fresh}:2") == [f"deleted {fresh}:2"]
    with reading(images) as reader:
        assert reader.manifest(fresh, "2").status_code == 404
        reader.hold_same(small.image, fresh)
    assert "no image library/fresh:2" in climg.refused(1, "image-delete", "-y", f"{fresh}:2")
    (row,) = climg.rows("--name", f"{fresh}:*")
    assert row["Name"] == "fresh:1"
    assert "protected" in climg.refused(1, "image-delete", "-y", row["Parent_id"])
    assert "protected" in climg.refused(1, "image-delete", "-y", fresh)


def test_deleting_asks_first(climg: Climg, fresh: str) -> None:
    name = f"{fresh}:1"
    assert "say --yes" in climg.refused(2, "image-delete", name)
    delete = ("climg", "--url", climg.url, "image-delete", name)
    question = "? [y/N]: "
    for no in ("\r", "\x03"):
        seen = run_on_terminal(*delete, types=[(question, no)])
        assert seen.status == 1
        assert seen.lines[0].startswith(f"Delete {name} (")
        assert seen.out.endswith("climg: broken off\n")
        assert "Traceback" not in seen.out
    seen = run_on_terminal(*delete, types=[(question, "y\r")])
    assert (seen.status, seen.lines[-1]) == (0, f"deleted {name}")
    assert climg.rows("--name", name) == []


def test_an_image_is_shared_and_no_longer(climg: Climg, fresh: str) -> None:
    name = f"{fresh}:1"
    for _ in range(2):
        assert climg.said("image-share", name, "tools") == [f"shared {name} with tools"]
    shown = [line.split() for line in climg.said("image-show", name)]
    assert ["visibility", "shared"] in shown
    assert ["shared_with", "tools", "(pending)"] in shown
    assert climg.said("image-share", "--remove", name, "tools") == [
        f"{name} is not shared with tools any more"
    ]
    assert "a project's id" in climg.refused(1, "image-share", name, "a/b")


def test_an_image_is_published_and_no_longer(climg: Climg, fresh: str) -> None:
    name = f"{fresh}:1"
    assert climg.said("image-publish", name) == [f"{name} is public"]
    public = {row["Name"]: row["Is_public"] for row in climg.rows("--name", f"{fresh}:*")}
    assert public == {"fresh:1": "True", "fresh:2": "False"}
    assert "image-publish --private" in climg.refused(1, "image-share", name, "tools")
    assert climg.said("image-publish", "--private", name) == [f"{name} is private"]


# -- who asks -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(small: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """shop/app:1, where ALICE is manager, and library/app:1, where she is member."""
    shop = '[auth.projects.shop]\nalice = "manager"\n'
    with running_server(Settings(auth=True, extra=shop)) as server:
        skopeo = Skopeo(tmp_path_factory.mktemp("skopeo"))
        skopeo.login(server.address, ALICE)
        for name in ("library/app:1", "shop/app:1"):
            skopeo.push(small.image, f"{server.address}/{name}")
        yield server


ALICES = {"BERTH_USER": ALICE.name, "BERTH_PASSWORD": ALICE.password}
CAROLS = {"BERTH_USER": CAROL.name, "BERTH_PASSWORD": CAROL.password}


def test_who_signs_in_sees_what_his_projects_have(shop: Server) -> None:
    climg = Climg(shop.url)
    password = {"BERTH_PASSWORD": ALICE.password}
    lines = climg.said("--user", ALICE.name, "image-list", "--history", **password)
    assert len(read_table(lines)) == 8
    assert len(climg.rows(**CAROLS)) == 1
    assert "no image shop/app:1" in climg.refused(1, "image-show", "shop/app:1", **CAROLS)


def test_roles_say_who_deletes_and_who_shares(shop: Server) -> None:
    climg = Climg(shop.url)
    library, mine = "library/app:1", "shop/app:1"
    assert "role member" in climg.refused(1, "image-delete", "-y", library, **CAROLS)
    assert "role manager" in climg.refused(1, "image-share", library, "shop", **ALICES)
    assert "role manager" in climg.refused(1, "image-publish", library, **ALICES)
    assert climg.said("image-share", mine, "library", **ALICES)
    assert climg.rows("--name", mine, **CAROLS) == []
    assert climg.said("image-publish", mine, **ALICES) == [f"{mine} is public"]
    assert [row["Is_public"] for row in climg.rows(**CAROLS)] == ["True", "False"]
    assert climg.said("image-delete", "-y", library, **ALICES) == [f"deleted {library}"]


def test_who_does_not_sign_in_is_told_how(shop: Server) -> None:
    climg = Climg(shop.url)
    wrong = {"BERTH_USER": ALICE.name, "BERTH_PASSWORD": "not-this-one"}
    for environment in ({}, wrong, {**wrong, "BERTH_USER": "nobody"}):
        words = climg.refused(1, "image-list", **environment)
        assert "does not let you in" in words
        assert "--user and BERTH_PASSWORD" in words
        assert "not-this-one" not in words
    words = climg.refused(2, "--user", ALICE.name, "image-list")
    assert "set BERTH_PASSWORD" in words


def test_a_password_is_asked_for_on_a_terminal_and_not_shown(shop: Server) -> None:
    question = f"Password of {ALICE.name}: "
    command = ("climg", "--url", shop.url, "--user", ALICE.name, "image-list", "--project", "shop")
    seen = run_on_terminal(*command, types=[(question, f"{ALICE.password}\r")], columns=200)
    assert seen.status == 0, seen
    assert seen.lines[0] == question
    assert len(read_table(seen.lines[1:])) == 1
    assert ALICE.password not in seen.out
    seen = run_on_terminal(*command, types=[(question, "not-this-one\r")])
    assert seen.status == 1
    assert "does not let you in" in seen.lines[-1]
    assert "not-this-one" not in seen.out


def test_a_certificate_is_trusted_by_name_only(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    http = {"tls_certificate": str(made.chain), "tls_key": str(made.key)}
    with running_server(Settings(http=http)) as server:
        climg = Climg(server.url)
        assert climg.rows("--limit", "1", BERTH_CACERT=str(made.chain)) == []
        assert "certificate verify failed" in climg.refused(3, "image-list")
        missing = climg.refused(3, "--cacert", str(tmp_path / "none.pem"), "image-list")
        assert "none.pem" in missing
