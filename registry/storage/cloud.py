"""The service user's session, as clouds.yaml or the OS_ variables tell it."""

from dataclasses import dataclass

from keystoneauth1.exceptions import ClientException
from keystoneauth1.session import Session

from registry.oci.errors import StorageUnavailable

TIMEOUT = 30.0
"""Seconds that Keystone has for an answer."""


@dataclass(frozen=True, slots=True)
class Opened:
    """How to speak to one service of a cloud."""

    session: Session
    region: str | None
    interface: str
    endpoint: str | None
    """Where the service is, if not where the catalogue says."""


def open_session(service: str, cloud: str | None = None) -> Opened:
    """For the service of that type in *cloud* of clouds.yaml, in OS_CLOUD, or in what OS_ says.

    Raises StorageUnavailable where they do not say enough.
    """
    from openstack.exceptions import ConfigException  # noqa: PLC0415 - takes half a second

    from registry.clouds import find_region  # noqa: PLC0415 - as it does

    try:
        region = find_region(cloud)
        session: Session = region.get_session()
    except (ConfigException, ClientException) as error:
        raise StorageUnavailable(
            "clouds.yaml and the OS_ variables do not say how the service user signs in"
        ) from error
    except ValueError as error:
        raise StorageUnavailable(str(error)) from error
    session.timeout = session.timeout or TIMEOUT
    interface = region.get_interface(service) or "public"
    return Opened(
        session,
        region.get_region_name(service),
        interface if isinstance(interface, str) else interface[0],
        region.get_endpoint(service),
    )
