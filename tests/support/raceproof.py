"""Whether what was acknowledged is there whole: names, the manifests that they name, and bytes."""

from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown, RegistryError
from registry.oci.names import Reference, RepositoryName, Tag
from registry.storage.storage import Storage
from support.racecontent import Thing
from support.racelog import Place
from support.streams import collect


class Broken(Exception):
    """The registry broke its word."""


async def tagged(storage: Storage, place: Place) -> bytes | None:
    """The manifest that a tag is on."""
    try:
        return (await storage.ledger.find_manifest(place[0], Tag.parse(place[1]))).content
    except ManifestUnknown:
        return None


async def resolve(storage: Storage, place: Place, thing: Thing) -> None:
    """Read all that a tag must lead to; raises Broken."""
    await _resolve(storage, place[0], Tag.parse(place[1]), thing)


async def resolve_referrer(storage: Storage, name: RepositoryName, referrer: Thing) -> None:
    """Read what is about a manifest, where it is listed; raises Broken."""
    assert referrer.about is not None
    listed = await storage.ledger.list_referrers(name, referrer.about.digest)
    if referrer.digest not in [each.digest for each in listed]:
        raise Broken(f"{name}: {referrer.digest} is not among the referrers of its subject")
    await _resolve(storage, name, referrer.digest, referrer)


async def _resolve(
    storage: Storage, name: RepositoryName, reference: Reference, thing: Thing
) -> None:
    what = f"{name}@{reference}"
    try:
        found = await storage.ledger.find_manifest(name, reference)
        if found.content != thing.content:
            raise Broken(f"{what} is another manifest: {found.digest}, not {thing.digest}")
        for blob in thing.blobs:
            digest = Digest.of(blob)
            what = f"blob {digest} of {name}@{reference}"
            held = (await storage.ledger.find_blob(name, digest)).blob
            if await collect(storage.blobs.read(held, 0, held.size)) != blob:
                raise Broken(f"{what} has other bytes")
    except RegistryError as error:
        raise Broken(f"{what} is lost: {type(error).__name__} {error}") from error
    for part in thing.parts:
        await _resolve(storage, name, part.digest, part)
