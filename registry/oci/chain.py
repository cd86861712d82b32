"""Manifest and config to image records: a chain of layers, parents first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.oci.descriptor import INDEXES, MANIFESTS
from registry.oci.digest import Digest
from registry.oci.image import ImageConfig, chain_ids
from registry.oci.manifest import Manifest
from registry.oci.names import RepositoryName, Tag

LAYERS = 2000
"""Layers at most that one tag shows as records; images that would go beyond show none of theirs.

Engines stack some hundred. A manifest can name ten thousands, and few bytes be all of them.
"""


@dataclass(frozen=True, slots=True)
class RecordDraft:
    """An image record before it has an id; identified by (project, *key*) for as long as it lives.

    Drafts come parents first. A record that no tag reaches any more is removed by the ledger:
    layer and manifest records live as long as something names them as parent or in *uses*.
    """

    key: str
    """``repository:<path>``, ``tag:<path>:<tag>``, ``manifest:<path>@<digest>`` or ``layer:<hex>``.

    A layer's hex is a digest of (parent's key, diff ID, blob digest).
    """
    kind: str
    """``repository``, ``tag``, ``manifest`` or ``layer``."""
    name: str | None
    parent: str | None
    """The parent's key."""
    size: int
    """Bytes, as people see it: ``oci_size``."""
    properties: Mapping[str, str]
    uses: tuple[str, ...] = ()
    """Keys of the manifest records that a tag of an index keeps alive."""


@dataclass(frozen=True, slots=True)
class Described:
    """A manifest with what was found of it: what records are made of."""

    digest: Digest
    size: int
    """Bytes of the manifest itself."""
    manifest: Manifest
    config: ImageConfig | None = None
    """An image's; None where it could not be read."""
    platform: Mapping[str, str] | None = None
    """As an index names it."""


def records(
    repository: RepositoryName, tag: Tag, top: Described, images: Sequence[Described] = ()
) -> tuple[RecordDraft, ...]:
    """The records that *tag* of *repository* makes, parents first, the tag's own the last.

    *top* is what the tag names; *images* are an index's images that are at hand, nested ones
    included.
    """
    drafts = {}
    whole = _repository(repository)
    drafts[whole.key] = whole
    tops: dict[Digest, str | None] = {}
    room = LAYERS
    for each in images:
        layers = _layers(each, room)
        room -= len(layers)
        drafts.update((draft.key, draft) for draft in layers)
        draft = _manifest(repository, each, layers[-1].key if layers else None)
        drafts[draft.key] = draft
        tops[each.digest] = draft.key
    if top.manifest.media_type in MANIFESTS:
        layers = _layers(top, room)
        drafts.update((draft.key, draft) for draft in layers)
        parent = layers[-1].key if layers else None
    else:
        parent = tops[_default(images).digest] if images else None
    uses = tuple(key for key in tops.values() if key is not None)
    last = _tag(repository, tag, top, parent, uses)
    drafts[last.key] = last
    return tuple(drafts.values())


def _repository(repository: RepositoryName) -> RecordDraft:
    return RecordDraft(
        key=f"repository:{repository.path}",
        kind="repository",
        name=repository.path,
        parent=None,
        size=0,
        properties={"oci_kind": "repository", "oci_repository": repository.path},
    )


def _layers(image: Described, room: int) -> list[RecordDraft]:
    """Layer records from the base up; none where the config does not fit the layers.

    Nor where there are more than *room*.
    """
    layers, config = image.manifest.layers, image.config
    if config is None or not len(config.diff_ids) == len(layers) <= room:
        return []
    drafts: list[RecordDraft] = []
    chain = chain_ids(config.diff_ids)
    for layer, diff_id, chain_id, made in zip(
        layers, config.diff_ids, chain, config.created_by, strict=True
    ):
        parent = drafts[-1].key if drafts else None
        identity = Digest.of(f"{parent} {diff_id} {layer.digest}".encode()).encoded
        drafts.append(
            RecordDraft(
                key=f"layer:{identity}",
                kind="layer",
                name=None,
                parent=parent,
                size=layer.size,
                properties={
                    "oci_kind": "layer",
                    "oci_digest": str(layer.digest),
                    "oci_diff_id": str(diff_id),
                    "oci_chain_id": str(chain_id),
                    "oci_size": str(layer.size),
                    "oci_media_type": layer.media_type,
                    "oci_created_by": made,
                },
            )
        )
    return drafts


def _manifest(repository: RepositoryName, image: Described, parent: str | None) -> RecordDraft:
    platform = _platform(image)
    return RecordDraft(
        key=f"manifest:{repository.path}@{image.digest}",
        kind="manifest",
        name=f"{repository.path}@{image.digest}",
        parent=parent,
        size=_size(image),
        properties={
            "oci_kind": "manifest",
            "oci_repository": repository.path,
            "oci_digest": str(image.digest),
            "oci_media_type": image.manifest.media_type,
            "oci_size": str(_size(image)),
            "oci_platform": platform,
        },
    )


def _tag(
    repository: RepositoryName,
    tag: Tag,
    top: Described,
    parent: str | None,
    uses: tuple[str, ...],
) -> RecordDraft:
    properties = {
        "oci_kind": "tag",
        "oci_repository": repository.path,
        "oci_tag": str(tag),
        "oci_digest": str(top.digest),
        "oci_media_type": top.manifest.media_type,
        "oci_size": str(_size(top)),
    }
    if top.manifest.media_type in INDEXES:
        properties["oci_children"] = " ".join(str(each) for each in top.manifest.children)
    return RecordDraft(
        key=f"tag:{repository.path}:{tag}",
        kind="tag",
        name=f"{repository.path}:{tag}",
        parent=parent,
        size=_size(top),
        properties=properties,
        uses=uses,
    )


def _size(described: Described) -> int:
    """Bytes that a pull moves: manifest, config and layers; an index's own and its children's."""
    return described.size + described.manifest.named_size


def _platform(image: Described) -> str:
    if image.platform:
        words = [image.platform.get(key, "") for key in ("os", "architecture", "variant")]
    elif image.config:
        words = [image.config.os, image.config.architecture]
    else:
        words = []
    return "/".join(word for word in words if word)


def _default(images: Sequence[Described]) -> Described:
    """The image that stands for the whole index: linux/amd64 if there, else the first."""
    return next((each for each in images if _platform(each) == "linux/amd64"), images[0])
