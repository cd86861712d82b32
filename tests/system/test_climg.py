"""climg as people run it to look: at a real server, with images that a real client pushed."""

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.clients import Skopeo
from support.climgcalls import COLUMNS, ID, TOTAL, Climg, Row, read_table, told
from support.environment import ROOT, free_port
from support.images import CONFIG, Images, Layout
from support.programs import run, run_on_terminal
from support.server import Server, Settings, running_server
from support.shelf import TALK, serving


@pytest.fixture(scope="module")
def images(small: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """library/app:1, an image; library/app:all, an index with it; tools/app:1, the same image."""
    with running_server(Settings()) as server:
        skopeo = Skopeo(tmp_path_factory.mktemp("skopeo"))
        for layout, name in (
            (small.image, "library/app:1"),
            (small.index, "library/app:all"),
            (small.image, "tools/app:1"),
        ):
            skopeo.push(layout, f"{server.address}/{name}")
        yield server


@pytest.fixture(scope="module")
def climg(images: Server) -> Climg:
    return Climg(images.url)


@pytest.fixture(scope="module")
def listed(climg: Climg) -> list[Row]:
    """tools/app:1, library/app:all, library/app:1."""
    return climg.rows()


def layer_sizes(layout: Layout, digest: str | None = None) -> list[str]:
    """What an image's layers are shown as, from the top down: the last one changes nothing."""
    layers = layout.read(digest or layout.digest)["layers"]
    return ["10240", *(str(layer["size"]) for layer in reversed(layers[:-1]))]


def hold_chain(rows: list[Row]) -> None:
    """Hold that each row is the parent of the one before, and the last one the base."""
    for row, below in itertools.pairwise(rows):
        assert row["Parent_id"] == below["ID"]
    assert rows[-1]["Parent_id"] == ""


# -- lists ----------------------------------------------------------------------------------------


def test_a_list_has_the_talks_columns_the_newest_image_first_and_a_total(
    listed: list[Row], small: Images
) -> None:
    assert [row["Name"] for row in listed] == ["app:1", "app:all", "app:1"]
    for row in listed:
        assert re.fullmatch(ID, row["ID"])
        assert re.fullmatch(ID, row["Parent_id"])
        constant = ("Disk_format", "Is_public", "Min_disk", "Min_ram", "Status", "Preference")
        assert [row[name] for name in constant] == ["docker", "False", "0", "0", "active", "0"]
    manifest = small.image.read(small.image.digest)
    moved = small.image.blob(small.image.digest).stat().st_size + manifest["config"]["size"]
    moved += sum(layer["size"] for layer in manifest["layers"])
    assert listed[0]["Size"] == listed[2]["Size"] == str(moved)


def test_the_history_of_an_image_goes_down_to_its_base(climg: Climg, small: Images) -> None:
    rows = climg.rows("--history", "--name", "tools/app:1")
    assert [row["Name"] for row in rows] == ["app:1", "", "", ""]
    assert [row["Size"] for row in rows[1:]] == layer_sizes(small.image)
    hold_chain(rows)


def test_the_history_of_an_index_has_each_platform_and_each_layer_once(
    climg: Climg, small: Images
) -> None:
    first, second = (each["digest"] for each in small.index.read(small.index.digest)["manifests"])
    rows = climg.rows("--history", "--name", "app:all")
    names = ["app:all", f"app@{first}", "", "", "", f"app@{second}", "", ""]
    assert [row["Name"] for row in rows] == names
    hold_chain(rows[:5])
    hold_chain([*rows[5:8], rows[4]])
    assert [row["Size"] for row in rows[2:5]] == layer_sizes(small.index, first)
    assert [row["Size"] for row in [*rows[6:8], rows[4]]] == layer_sizes(small.index, second)


def test_the_whole_history_has_every_record_once(climg: Climg, listed: list[Row]) -> None:
    rows = climg.rows("--history")
    ids = [row["ID"] for row in rows]
    # tools: a tag and three layers; library: two tags, two platforms, five layers
    assert len(ids) == len(set(ids)) == 4 + 9
    assert {row["Parent_id"] for row in rows} <= {*ids, ""}
    assert [row for row in rows if row in listed] == listed


def test_a_list_is_limited_to_images_names_and_projects(climg: Climg, listed: list[Row]) -> None:
    newest, index, oldest = listed
    assert climg.rows("--limit", "2") == [newest, index]
    history = climg.rows("--history", "--limit", "1")
    assert (history[0], len(history)) == (newest, 4)
    assert climg.rows("--name", "app:1") == [newest, oldest]
    assert climg.rows("--name", "app") == []
    assert climg.rows("--project", "tools") == [newest]
    assert climg.rows("--name", "library/*:?", "--limit", "2") == [oldest]


def test_json_says_what_the_table_says_and_more(climg: Climg, small: Images) -> None:
    only = ("--history", "--project", "tools")
    records = json.loads("\n".join(climg.said("image-list", "--json", *only)))
    for row, record in zip(climg.rows(*only), records, strict=True):
        shown = {name: record[name.lower()] for name in COLUMNS}
        assert row == {name: "" if value is None else str(value) for name, value in shown.items()}
    kinds = [record["properties"]["oci_kind"] for record in records]
    assert kinds == ["tag", "layer", "layer", "layer"]
    assert records[0]["properties"]["oci_digest"] == small.image.digest
    assert records[0]["project"] == "tools"


def test_a_terminals_width_is_kept_to(climg: Climg) -> None:
    for columns, command in ((20, "image-list"), (60, "image-tree"), (100, "image-list")):
        seen = run_on_terminal("climg", "--url", climg.url, command, columns=columns)
        assert seen.status == 0, seen
        assert max(map(len, seen.lines)) <= columns
        if command == "image-list":
            assert TOTAL.fullmatch(seen.lines[-1])


def test_a_real_image_has_its_history(server: Server, published: str, real: Images) -> None:
    first = real.index.read(real.index.digest)["manifests"][0]["digest"]
    rows = Climg(server.url).rows("--history", "--name", f"{published}:1")
    assert [row["Size"] for row in rows[2:5]] == layer_sizes(real.index, first)
    hold_chain(rows[:5])
    assert len(rows) == 8


def test_the_talks_own_listing_is_printed_as_it_was() -> None:
    with serving(TALK) as url:
        lines = Climg(url).said("image-list", "--history")
    rows = read_table(lines)
    assert [(row["Name"], row["Size"]) for row in rows] == [
        ("docker-centos", "10240"),
        ("", "10240"),
        ("", "10240"),
        ("", "10240"),
        ("", "202004480"),
        ("", "10240"),
        ("cirros-0.3.2-x86_64-disk.img", "13167616"),
    ]
    hold_chain(rows[:6])
    assert [row["ID"][:8] for row in rows[:2]] == ["fb9205ac", "4dd5113f"]
    assert (rows[6]["Disk_format"], rows[6]["Is_public"]) == ("qcow2", "True")
    assert lines[-1] == "**** Total: 7 ****"


# -- one image ------------------------------------------------------------------------------------


def test_an_image_is_shown_by_id_by_name_and_by_project(
    climg: Climg, listed: list[Row], small: Images
) -> None:
    row = listed[0]
    shown = climg.said("image-show", "tools/app:1")
    assert climg.said("image-show", row["ID"].upper()) == shown
    fields = dict(line.split(maxsplit=1) for line in shown if " " in line)
    assert (fields["id"], fields["project"]) == (row["ID"], "tools")
    assert fields["oci_digest"] == small.image.digest
    index = json.loads("\n".join(climg.said("image-show", "--json", "app:all")))
    assert (index["id"], index["members"]) == (listed[1]["ID"], {})
    layer = json.loads("\n".join(climg.said("image-show", "--json", row["Parent_id"])))
    assert (layer["name"], layer["size"], layer["protected"]) == (None, 10240, True)


def test_a_name_of_several_images_is_refused_with_their_ids(
    climg: Climg, listed: list[Row]
) -> None:
    words = climg.refused(1, "image-show", "app:1")
    assert "app:1 names 2 images" in words
    assert listed[0]["ID"] in words
    assert listed[2]["ID"] in words


def test_trees_are_drawn_from_the_top_to_the_base(climg: Climg, small: Images) -> None:
    manifests = small.index.read(small.index.digest)["manifests"]
    lines = climg.said("image-tree", "library/app:all")
    shapes = ["", "├── ", "│   ├── ", "│   ├── ", "│   └── ", "└── ", *["    ├── "] * 2, "    └── "]
    for line, shape in zip(lines, shapes, strict=True):
        assert re.match(rf"{re.escape(shape)}(?:\S+  )?{ID}  \d+  ", line)
    for line, manifest in zip((lines[1], lines[5]), manifests, strict=True):
        assert f"linux/{manifest['platform']['architecture']}  " in line
        assert line.endswith(manifest["digest"])
    assert [line.rpartition("  ")[2] for line in lines[2:5]] == ["layer 3", "layer 2", "layer 1"]
    whole = climg.said("image-tree", "library/app")
    assert (whole[:9], len(whole)) == (lines, 13)
    assert climg.said("image-tree")[4:] == whole


def test_a_tree_is_told_to_programs(climg: Climg, small: Images) -> None:
    (tree,) = json.loads("\n".join(climg.said("image-tree", "--json", "library/app:all")))
    platforms = [each["properties"]["oci_digest"] for each in tree["platforms"]]
    assert platforms == [
        each["digest"] for each in small.index.read(small.index.digest)["manifests"]
    ]
    for platform in tree["platforms"]:
        config = next(
            digest
            for kind, digest in small.index.reachable(platform["properties"]["oci_digest"])
            if kind == CONFIG
        )
        diff_ids = small.index.read(config)["rootfs"]["diff_ids"]
        assert [each["properties"]["oci_diff_id"] for each in reversed(platform["layers"])] == (
            diff_ids
        )


# -- failures -------------------------------------------------------------------------------------

WRONG_USAGE = [
    (),
    ("none",),
    ("image-list", "--none"),
    ("image-list", "more"),
    ("image-list", "--limit", "0"),
    ("image-list", "--limit", "many"),
    ("image-show",),
    ("image-share", "app:1"),
    ("--os-cloud", "none", "image-list"),
    ("--url", "ftp://registry", "image-list"),
    ("--url", "http://", "image-list"),
    ("--url", "http://127.0.0.1:99999", "image-list"),
    ("--url", "http://alice:secret@127.0.0.1", "image-list"),
    ("image-show", "\udcff"),
    ("image-list", "--project", "\udcff"),
]
NOT_FOUND = [
    ("image-show", "none:1"),
    ("image-show", ""),
    ("image-show", 'a"b,c:1'),
    ("image-show", "é\n\x1b[31m"),
    ("image-show", "00000000-0000-4000-8000-000000000000"),
    ("image-delete", "--yes", "none:1"),
    ("image-share", "none:1", "tools"),
    ("image-publish", "none:1"),
]


def test_wrong_usage_is_told_in_one_line_and_by_2(climg: Climg) -> None:
    with ThreadPoolExecutor(4) as pool:
        for words in pool.map(lambda each: climg.refused(2, *each), WRONG_USAGE):
            assert "secret" not in words


def test_what_is_not_there_is_told_in_one_line_and_by_1(climg: Climg) -> None:
    with ThreadPoolExecutor(4) as pool:
        for words in pool.map(lambda each: climg.refused(1, *each), NOT_FOUND):
            assert words.isprintable()
            assert "climg image-list shows what there is" in words


def test_a_service_that_is_none_is_told_in_one_line_and_by_3(climg: Climg) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    assert "cannot reach" in told(run("climg", "--url", nobody, "image-list"), 3)
    assert "berth serve" in told(run("climg", "image-list", BERTH_URL=nobody), 3)
    assert "no Image API" in climg.refused(3, "--url", f"{climg.url}/v2", "image-list")
    encrypted = climg.url.replace("http", "https")
    assert "cannot reach" in climg.refused(3, "--url", encrypted, "image-list")


def test_an_output_that_is_closed_or_full_is_no_traceback(climg: Climg) -> None:
    command = f"{ROOT}/.venv/bin/climg --url {climg.url} image-list"
    for redirected, status, words in (
        (">&- 2>&- <&-", 0, ""),
        ("| true", 0, ""),
        (">/dev/full", 1, "climg: cannot print: No space left on device\n"),
    ):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{command} {redirected}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (status, words)
