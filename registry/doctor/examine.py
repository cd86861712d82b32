"""All checks of one configuration, in the order in which one thing rests on another."""

import asyncio
from pathlib import Path

from registry import people, stores, wiring
from registry.config import Config
from registry.doctor.database import look_at_ledger
from registry.doctor.findings import Finding
from registry.doctor.machine import look_at_directory
from registry.oci.errors import RegistryError
from settings.reading import ConfigError

LOST = "if ledger.url is right, run `berth rebuild`, which makes it anew out of the journal"
AWAY = "mend what is said above, then look again"


async def examine(config: Config) -> list[Finding]:
    """What was found; nothing is left behind, and nothing is made that a start would make."""
    found = [Finding("configuration", good=True, found="can be read, and does no harm")]
    if config.http.tls_certificate is not None:
        found.append(_look_at_certificate(config))
    found.append(_look_at_people(config))
    directory = look_at_directory(config)
    found += directory
    if not all(each.good for each in directory):
        return found
    if config.storage.kind == "swift" or config.auth.kind == "keystone" or config.glance.enabled:
        found += await asyncio.to_thread(_look_at_cloud, config)
    return [*found, *await _look_at_stores(config)]


def _look_at_certificate(config: Config) -> Finding:
    try:
        wiring.hold_certificate(config)
    except ConfigError as error:
        mend = "see http.tls_certificate and http.tls_key in the configuration"
        return Finding("certificate", good=False, found=str(error), mend=mend)
    return Finding("certificate", good=True, found="it and its key can be used")


def _look_at_people(config: Config) -> Finding:
    try:
        people.hold_people(config)
    except ConfigError as error:
        mend = "see auth in the configuration"
        return Finding("signing in", good=False, found=str(error), mend=mend)
    return Finding("signing in", good=True, found=f'auth.kind = "{config.auth.kind}"')


async def _look_at_stores(config: Config) -> list[Finding]:
    if (path := stores.absent_ledger(config)) is not None:
        return [await _look_without_ledger(config, path)]
    try:
        opened = stores.Stores(config)
    except RegistryError as error:
        return [Finding("ledger", good=False, found=str(error.detail or error))]
    try:
        return await look_at_ledger(config, opened.ledger, opened.storage.journal)
    finally:
        await opened.close()


async def _look_without_ledger(config: Config, path: Path) -> Finding:
    """Whether a ledger that is not there yet, in *path*, should be."""
    try:
        if await stores.has_lines(config):
            found = f"{path} is not there, and the store is not empty"
            return Finding("ledger", good=False, found=found, mend=LOST)
    except RegistryError:
        found = f"{path} is not there, and whether it should be cannot be asked"
        return Finding("ledger", good=None, found=found, mend=AWAY)
    return Finding("ledger", good=True, found=f"{path} is made at the first start")


def _look_at_cloud(config: Config) -> list[Finding]:
    # Half a second that a directory saves.
    from registry.doctor.asking import SIGN_IN, Asker  # noqa: PLC0415
    from registry.doctor.identity import look_at_keystone  # noqa: PLC0415
    from registry.doctor.images import look_at_glance  # noqa: PLC0415
    from registry.doctor.objects import look_at_swift  # noqa: PLC0415
    from registry.storage.cloud import open_session  # noqa: PLC0415

    services = ("object-store", "image")
    try:
        opened, images = (open_session(service, config.openstack.cloud) for service in services)
    except RegistryError as error:
        return [Finding("service user", good=False, found=str(error.detail), mend=SIGN_IN)]
    said = dict(zip(services, (opened.endpoint, images.endpoint), strict=True))
    asker = Asker(opened.session, opened.region, opened.interface, said)
    found = look_at_keystone(config, asker)
    if not found[0].good:
        return found
    if config.storage.kind == "swift":
        found += look_at_swift(config, asker)
    if config.glance.enabled:
        found += look_at_glance(asker)
    return found
