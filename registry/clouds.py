"""The cloud that clouds.yaml or the OS_ variables name, with the files that they name."""

import os
import ssl
import warnings
from pathlib import Path

from openstack.config import OpenStackConfig
from openstack.config.cloud_region import CloudRegion
from openstack.warnings import RemovedInSDK60Warning

from settings.files import read

_FILE = "OS_CLIENT_CONFIG_FILE"


def find_region(cloud: str | None = None) -> CloudRegion:
    """By clouds.yaml's entry *cloud*, by OS_CLOUD, or by the OS_ variables.

    Raises ValueError for a file that cannot be used; openstack.exceptions.ConfigException and
    keystoneauth1's for what is missing.
    """
    named = Path(os.environ.get(_FILE) or os.devnull)  # by which people say: no file
    if named != Path(os.devnull) and named.exists() and not named.is_dir():
        read(named)
    with warnings.catch_warnings():
        # openstacksdk 4.22 warns of its own InfluxDB support, even where nobody asks for it.
        warnings.simplefilter("ignore", RemovedInSDK60Warning)
        region = OpenStackConfig(app_name="berth").get_one(cloud=cloud)
    verify, own = region.get_requests_verify_args()
    if isinstance(verify, str) and not Path(verify).is_dir():
        _hold_authorities(Path(verify))
    for each in own if isinstance(own, tuple) else (own,):
        if each is not None:
            read(Path(each))
    return region


def _hold_authorities(path: Path) -> None:
    read(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ValueError(f"{path}: holds no certificates in PEM") from error
