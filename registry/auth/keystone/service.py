"""The service user: who looks up names of projects, and owns objects and image records."""

from dataclasses import dataclass

from keystoneauth1.plugin import BaseAuthPlugin
from openstack.exceptions import ConfigException

from registry.clouds import find_region


@dataclass(frozen=True, slots=True)
class Service:
    """How the service user signs in, and where."""

    auth: BaseAuthPlugin
    auth_url: str
    verify: bool | str
    """TLS certificates: whether, or by which file."""
    region: str | None
    """The name of the region that is meant, if any is."""


def as_service(cloud: str | None = None) -> Service:
    """By clouds.yaml's entry *cloud*, by OS_CLOUD, or by the OS_ variables.

    Raises what find_region does.
    """
    region = find_region(cloud)
    auth = region.get_auth()
    url = region.config.get("auth", {}).get("auth_url")
    if auth is None or not url:
        raise ConfigException("the service user must sign in: auth_url and credentials are needed")
    verify, _ = region.get_requests_verify_args()
    return Service(auth, url, verify is None or verify, region.get_region_name("identity"))
