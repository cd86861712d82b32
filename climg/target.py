"""Which image service is meant: options first, then variables (pure)."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from climg.errors import WrongUsage

DEFAULT_URL = "http://127.0.0.1:5000"
CLOUD_VARIABLES = ("OS_CLOUD", "OS_AUTH_URL", "OS_AUTH_TYPE", "OS_ENDPOINT")
"""Any of them says that a cloud is meant."""


@dataclass(frozen=True, slots=True)
class Registry:
    """A Berth server, which serves the Image API itself."""

    url: str
    user: str | None = None
    cacert: str | None = None

    @property
    def place(self) -> str:
        """How it is named in messages."""
        return self.url

    @property
    def advice(self) -> str:
        """What to do where it cannot be reached."""
        return "start it (berth serve), or name another (--url)"

    @property
    def sign_in(self) -> str:
        """What to do where it does not let one in."""
        return "sign in with --user and BERTH_PASSWORD"

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine: then no proxy and no netrc stands between."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


@dataclass(frozen=True, slots=True)
class Cloud:
    """An OpenStack cloud: its catalogue says where Glance is. Without a name, as OS_… says."""

    name: str | None = None

    @property
    def place(self) -> str:
        """How it is named in messages."""
        return f"the cloud {self.name}" if self.name else "the cloud that OS_… names"

    @property
    def advice(self) -> str:
        """What to do where it cannot be reached."""
        return "look at its address in OS_AUTH_URL or clouds.yaml"

    @property
    def sign_in(self) -> str:
        """What to do where it does not let one in."""
        return "look at user, password and project in OS_… or clouds.yaml"


def choose(
    url: str | None,
    user: str | None,
    cacert: str | None,
    cloud: str | None,
    variables: Mapping[str, str],
) -> Registry | Cloud:
    """The service that options and *variables* name; raises WrongUsage."""
    if cloud is not None and (url, user) != (None, None):
        raise WrongUsage(
            "--os-cloud names a cloud, --url and --user a registry: leave one of them out"
        )
    given = url or (None if cloud is not None else variables.get("BERTH_URL"))
    if given is None and user is None and (cloud or any(map(variables.get, CLOUD_VARIABLES))):
        return Cloud(cloud)
    return Registry(
        _checked(given or DEFAULT_URL),
        user or variables.get("BERTH_USER") or None,
        cacert or variables.get("BERTH_CACERT") or None,
    )


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise WrongUsage(f"{url!r} is no address: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise WrongUsage(
            "an address carries no password: say --user, and set BERTH_PASSWORD or be asked"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise WrongUsage(f"{url!r} is no address of a registry: write {DEFAULT_URL}")
    return url.rstrip("/")
