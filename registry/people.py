"""Who may ask, as the configuration says: the other module that knows adapters."""

from typing import Any

from registry.auth.htpasswd import HtpasswdIdentity
from registry.auth.open import OpenIdentity
from registry.auth.ports import Identity, ProjectNames
from registry.auth.tokens import Tokens
from registry.config import Config
from registry.limits import Allowance, Allowances, FixedAllowances, Limits
from registry.opening import Neighbours
from registry.storage.storage import Storage
from registry.v2api.guard import Guard
from registry.viewing.cloud import CloudViewer
from registry.viewing.ledger import LedgerViewer
from settings.reading import ConfigError


def make_guard(config: Config, storage: Storage) -> Guard:
    """The guard of one process; raises ConfigError where what is configured cannot be used."""
    auth = config.auth
    if auth.kind == "none":
        return Guard(OpenIdentity())
    identity, projects = _identity(config)
    return Guard(
        identity,
        Tokens(storage.ledger, service=auth.service, seconds=auth.token_seconds),
        service=auth.service,
        public_projects=auth.public_projects,
        public_url=config.http.public_url,
        default_project=config.default_project,
        projects=projects,
        neighbours=_neighbours(config, storage),
    )


def hold_people(config: Config) -> None:
    """Look at what says who may ask, before there is a store; raises ConfigError."""
    if config.auth.kind != "none":
        _identity(config)


def _neighbours(config: Config, storage: Storage) -> Neighbours | None:
    if storage.openings is None:
        return None
    if not config.glance.enabled:
        return Neighbours(LedgerViewer(storage.ledger), storage.openings)
    from registry.storage import glance  # noqa: PLC0415 - half a second that the others save

    images = glance.open_caller_images(config.openstack.cloud)
    return Neighbours(CloudViewer(images, fresh=config.glance.remember), storage.openings)


def make_allowances(config: Config) -> Allowances:
    """Limits that are kept elsewhere than in the ledger; raises ConfigError."""
    said = config.quota
    usual = Allowance(
        project=Limits(bytes=said.bytes, repositories=said.repositories, tags=said.tags),
        repository=Limits(bytes=said.repository_bytes, tags=said.repository_tags),
    )
    projects = {name: Limits.read(limits) for name, limits in said.projects.items()}
    fixed = FixedAllowances(usual, projects)
    if said.source != "keystone":
        return fixed
    from registry.auth.keystone.client import Keystone  # noqa: PLC0415 - as below
    from registry.auth.keystone.limits import KeystoneAllowances  # noqa: PLC0415

    service = _service(config)
    keystone = Keystone(service.auth_url, verify=service.verify)
    return KeystoneAllowances(
        keystone, service.auth, fixed, region=service.region, seconds=said.cache_seconds
    )


def _identity(config: Config) -> tuple[Identity, ProjectNames | None]:
    auth = config.auth
    if auth.kind == "keystone":
        return _keystone(config)
    assert auth.htpasswd is not None
    try:
        return HtpasswdIdentity(auth.htpasswd, auth.projects), None
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _keystone(config: Config) -> tuple[Identity, ProjectNames]:
    # Half a second that the other kinds save.
    from registry.auth.keystone.client import Keystone  # noqa: PLC0415
    from registry.auth.keystone.identity import KeystoneIdentity  # noqa: PLC0415
    from registry.auth.keystone.projects import KeystoneProjectNames  # noqa: PLC0415

    service = _service(config)
    keystone = Keystone(service.auth_url, verify=service.verify)
    domain = config.auth.domain
    identity = KeystoneIdentity(keystone, domain=domain, domains=config.auth.domains)
    return identity, KeystoneProjectNames(keystone, service.auth, domain=domain)


def _service(config: Config) -> Any:
    """The service user; raises ConfigError."""
    from keystoneauth1.exceptions import ClientException  # noqa: PLC0415
    from openstack.exceptions import ConfigException  # noqa: PLC0415

    from registry.auth.keystone.service import as_service  # noqa: PLC0415

    try:
        return as_service(config.openstack.cloud)
    except (ConfigException, ClientException) as error:
        raise ConfigError(
            "openstack.cloud, clouds.yaml or the OS_ variables do not say how the service user "
            f"signs in: {error}"
        ) from error
    except ValueError as error:
        raise ConfigError(str(error)) from error
