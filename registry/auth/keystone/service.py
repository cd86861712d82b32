"""The service user: who looks up names of projects, and owns objects and image records."""

from dataclasses import dataclass

from keystoneauth1.plugin import BaseAuthPlugin
from openstack.config import OpenStackConfig
from openstack.exceptions import ConfigException


@dataclass(frozen=True, slots=True)
class Service:
    """How the service user signs in, and where."""

    auth: BaseAuthPlugin
    auth_url: str
    verify: bool | str
    """TLS certificates: whether, or by which file."""


def as_service(cloud: str | None = None) -> Service:
    """By clouds.yaml's entry *cloud*, by OS_CLOUD, or by the OS_ variables.

    Raises openstack.exceptions.ConfigException and keystoneauth1's for what is missing.
    """
    region = OpenStackConfig(app_name="berth").get_one(cloud=cloud)
    auth = region.get_auth()
    if auth is None:
        raise ConfigException("the service user must sign in: auth_type none is for no service")
    verify, _ = region.get_requests_verify_args()
    return Service(auth, region.config["auth"]["auth_url"], verify is None or verify)
