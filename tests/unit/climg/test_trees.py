"""Chains drawn as trees."""

from climg import trees
from climg.chains import Catalogue
from support.shelf import Shelf, identifier, layer, manifest, tag

SHELF = Shelf(
    tag(1, "multi:m", 2, 5000, oci_children="sha256:a sha256:b"),
    manifest(2, "multi", "sha256:a", 4, oci_platform="linux/amd64"),
    manifest(3, "multi", "sha256:b", 5),
    layer(4, 6, 100),
    layer(5, 99, 200, oci_created_by="RUN\n  make \x1b[31m"),
    layer(6, None, 300),
)


def drawn(text: str, width: int | None = None) -> list[str]:
    catalogue = Catalogue(SHELF)
    record = catalogue.find(text)
    catalogue.complete([record])
    return trees.draw(trees.node(catalogue, record), width)


def test_an_index_has_platforms_and_they_have_layers() -> None:
    assert drawn("multi:m") == [
        f"library/multi:m  {identifier(1)}  5000  index of 2",
        f"├── linux/amd64  {identifier(2)}  1000  sha256:a",
        f"│   ├── {identifier(4)}  100  RUN 4",
        f"│   └── {identifier(6)}  300  RUN 6",
        f"└── unknown  {identifier(3)}  1000  sha256:b",
        f"    ├── {identifier(5)}  200  RUN make \N{REPLACEMENT CHARACTER}[31m",
        f"    └── {identifier(99)}  not to be seen from here",
    ]


def test_a_layer_is_drawn_with_what_is_below_it() -> None:
    assert drawn(identifier(4)) == [
        f"{identifier(4)}  100  RUN 4",
        f"└── {identifier(6)}  300  RUN 6",
    ]


def test_lines_are_cut_at_the_terminals_edge() -> None:
    assert drawn("multi:m", 20)[0] == "library/multi:m  00…"


def test_programs_get_platforms_and_layers() -> None:
    catalogue = Catalogue(SHELF)
    record = catalogue.find("multi:m")
    catalogue.complete([record])
    told = trees.as_json(catalogue, record)
    assert told["layers"] == []
    assert [[layer["size"] for layer in each["layers"]] for each in told["platforms"]] == [
        [100, 300],
        [200],
    ]
