"""The account as clouds.yaml or the OS_ variables tell it."""

import warnings

from keystoneauth1.exceptions import ClientException
from keystoneauth1.session import Session

from registry.oci.errors import StorageUnavailable
from registry.storage.swift.account import SwiftAccount

TIMEOUT = 30.0
"""Seconds that Keystone has for an answer."""
SERVICE = "object-store"


def open_account(cloud: str | None = None) -> SwiftAccount:
    """The service user's account in *cloud* of clouds.yaml, in OS_CLOUD, or in what OS_ says.

    Raises StorageUnavailable where they do not say enough.
    """
    from openstack.config import OpenStackConfig  # noqa: PLC0415 - takes half a second
    from openstack.exceptions import ConfigException  # noqa: PLC0415
    from openstack.warnings import RemovedInSDK60Warning  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            # openstacksdk 4.22 warns of its own InfluxDB support, even where nobody asks for it.
            warnings.simplefilter("ignore", RemovedInSDK60Warning)
            region = OpenStackConfig(app_name="berth").get_one(cloud=cloud)
        session: Session = region.get_session()
    except (ConfigException, ClientException) as error:
        raise StorageUnavailable(
            "clouds.yaml and the OS_ variables do not say how the service user signs in"
        ) from error
    session.timeout = session.timeout or TIMEOUT
    interface = region.get_interface(SERVICE) or "public"
    return SwiftAccount(
        session,
        region=region.get_region_name(SERVICE),
        interface=interface if isinstance(interface, str) else interface[0],
        endpoint=region.get_endpoint(SERVICE),
    )
