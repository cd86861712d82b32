"""Ledgers for tests: one clock and one source of ids for all, changes built by hand."""

import contextlib
import itertools
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from registry.oci.chain import RecordDraft
from registry.oci.descriptor import OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.oci.names import RepositoryName, Tag
from registry.storage.ledger import SqlLedger
from registry.storage.ports.ledger import Ledger
from registry.storage.records import BlobRecord, ImageRecord, ManifestPut, ManifestRecord, Member
from registry.storage.sharing import Answer, Invitation, Visibility

SHOES = RepositoryName("shoes", "red/boots")
HATS = RepositoryName("hats", "straw")
MORE_SHOES = RepositoryName("shoes", "sandals")


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Ids:
    """UUIDs that count up, so that two ledgers draw the same."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        return str(uuid.UUID(int=next(self._numbers)))


def blob(word: str) -> BlobRecord:
    content = f"blob {word}".encode()
    return BlobRecord(Digest.of(content), f"object-{word}", len(content))


def manifest(
    word: str,
    *,
    subject: Digest | None = None,
    artifact_type: str | None = None,
    media_type: str = OCI_MANIFEST,
) -> ManifestRecord:
    content = f"manifest {word}".encode()
    annotations = {"word": word}
    return ManifestRecord(
        Digest.of(content), media_type, content, subject, artifact_type, annotations
    )


def put(
    name: RepositoryName,
    word: str,
    *tags: str,
    blobs: tuple[BlobRecord, ...] = (),
    drafts: tuple[RecordDraft, ...] = (),
    sparse: bool = False,
    subject: Digest | None = None,
    artifact_type: str | None = None,
) -> ManifestPut:
    """The PUT of a manifest that names *blobs*."""
    return ManifestPut(
        name,
        manifest(word, subject=subject, artifact_type=artifact_type),
        tuple(Tag.parse(each) for each in tags),
        tuple(each.digest for each in blobs),
        (),
        drafts,
        sparse,
    )


def put_index(
    name: RepositoryName,
    word: str,
    *tags: str,
    children: tuple[Digest, ...],
    drafts: tuple[RecordDraft, ...] = (),
) -> ManifestPut:
    """The PUT of an index of *children*."""
    return ManifestPut(
        name,
        manifest(word, media_type=OCI_INDEX),
        tuple(Tag.parse(each) for each in tags),
        (),
        children,
        drafts,
    )


def layers(*words: str) -> tuple[RecordDraft, ...]:
    """A chain of layer records, from the base up."""
    drafts: list[RecordDraft] = []
    for place, word in enumerate(words):
        parent = drafts[-1].key if drafts else None
        key = f"layer:{'-'.join(words[: place + 1])}"
        drafts.append(RecordDraft(key, "layer", None, parent, len(word), {"oci_kind": "layer"}))
    return tuple(drafts)


def tagged(
    name: RepositoryName, tag: str, *words: str, uses: tuple[str, ...] = ()
) -> tuple[RecordDraft, ...]:
    """The records of an image of the layers *words* under *tag*."""
    chain = layers(*words)
    whole = RecordDraft(
        f"repository:{name.path}", "repository", name.path, None, 0, {"oci_kind": "repository"}
    )
    last = RecordDraft(
        f"tag:{name.path}:{tag}",
        "tag",
        f"{name.path}:{tag}",
        chain[-1].key if chain else None,
        sum(each.size for each in chain),
        {"oci_kind": "tag", "oci_repository": name.path, "oci_tag": tag},
        uses,
    )
    return (whole, *chain, last)


def platform(name: RepositoryName, word: str, *words: str) -> tuple[RecordDraft, ...]:
    """The manifest record of one platform of an index, over its layers."""
    chain = layers(*words)
    key = f"manifest:{name.path}@{word}"
    parent = chain[-1].key if chain else None
    properties = {"oci_kind": "manifest", "oci_platform": word}
    return (*chain, RecordDraft(key, "manifest", key, parent, 7, properties))


async def store(ledger: Ledger, name: RepositoryName, *blobs: BlobRecord) -> None:
    """Blobs that came in one request each."""
    for each in blobs:
        await ledger.finish_upload(name, None, each)


async def share_with(ledger: Ledger, record: str, project: str, status: str = "accepted") -> None:
    """Share *record* with *project*, which answers."""
    await ledger.share_record(record, Visibility("shared"))
    await ledger.share_record(record, Invitation(project))
    await ledger.share_record(record, Answer(Member(project, status)))


async def find_by_key(ledger: Ledger, project: str, key: str) -> ImageRecord:
    """The record of a project under its key; raises ManifestUnknown."""
    for hidden in ("false", "true"):
        filters = {"owner": project, "os_hidden": hidden}
        for record in await ledger.list_records(projects=None, filters=filters, limit=999):
            if record.key == key:
                return record
    raise ManifestUnknown("no such record")


class Template:
    """An empty SQLite ledger with its tables, to be copied: migrating takes longer."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "template.db"

    async def copy(self, path: Path) -> str:
        """The URL of a fresh ledger at *path*."""
        if not self._path.exists():
            ledger = await SqlLedger.open(f"sqlite:///{self._path}")
            await ledger.close()
        shutil.copyfile(self._path, path)
        return f"sqlite:///{path}"


@contextlib.contextmanager
def own_schema(url: str) -> Iterator[str]:
    """The URL of an empty schema in a PostgreSQL; it is dropped at the end."""
    schema = f"test_{uuid.uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    path = {"options": f"-csearch_path={schema}"}
    yield make_url(url).update_query_dict(path).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


def is_leased(url: str) -> bool:
    """Whether some server writes to an upload of the ledger at *url* just now."""
    engine = create_engine(url)
    with engine.connect() as connection:
        until = connection.execute(text("SELECT max(lease_until) FROM upload")).scalar()
    engine.dispose()
    return until is not None and until > time.time()


@contextlib.asynccontextmanager
async def closing(ledger: SqlLedger) -> AsyncIterator[SqlLedger]:
    try:
        yield ledger
    finally:
        await ledger.close()
