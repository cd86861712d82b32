"""The configuration: one TOML file and BERTH_… variables, checked, into frozen dataclasses."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from registry import spelling
from settings.reading import load

TAKEN_BACK = 360
"""Seconds after which nobody pulls what was taken back in Glance: its answer is remembered, and
lives on in an access token."""
CENTURY = 36525
"""Days, and the most of them that anything is kept: clocks and databases end not far behind."""
CLIENT_VARIABLES = frozenset({"BERTH_URL", "BERTH_USER", "BERTH_PASSWORD", "BERTH_CACERT"})
"""climg's: in one shell people set up both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """[http]"""

    listen: str = "127.0.0.1:5000"
    """Address and port."""
    workers: int = 2
    """Processes; one for each core is right."""
    tls_certificate: Path | None = None
    """PEM file with the chain; needs tls_key."""
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Addresses whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    public_url: str | None = None
    """Where clients reach this server, if not under the Host they name: the token realm."""
    body_timeout: float = 60.0
    """Seconds in which some byte of a request's body must come."""
    shutdown_grace: int = 300
    """Seconds that requests in flight are given when the server is told to stop."""
    access_log: bool = True
    """One line of JSON for each request, on standard output."""
    metrics_from: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Addresses and networks that may read /metrics."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 512:
            raise ValueError("http.workers must lie between 1 and 512; one for each core is right")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("http.tls_certificate and http.tls_key go together: give both")
        if self.body_timeout <= 0:
            raise ValueError("http.body_timeout must be more than 0 seconds")
        if self.shutdown_grace < 0:
            raise ValueError("http.shutdown_grace must not be negative")
        spelling.hold_public_url(self.public_url)
        spelling.hold_networks("http.metrics_from", self.metrics_from)
        spelling.hold_networks("http.trusted_proxies", self.trusted_proxies)
        _ = self.address

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of *listen*."""
        return spelling.read_address(self.listen)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        host = self.address[0]
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """[storage]"""

    kind: str = "directory"
    """``directory``, or ``swift`` (the account of the service user of [openstack])."""
    directory: Path = Path("var")
    """Where blobs, uploads and the journal lie, and the ledger unless another is named."""
    prefix: str = "berth"
    """What the names of Swift's containers begin with."""
    redirect: bool = False
    """Whether a pull of a blob is sent on to Swift, by a TempURL that anybody may use."""
    redirect_seconds: int = 1200
    """For how long such an address is good, and so outlives a right that is taken away."""

    def __post_init__(self) -> None:
        if self.kind not in {"directory", "swift"}:
            raise ValueError('storage.kind must be "directory" or "swift"')
        if self.redirect and self.kind != "swift":
            raise ValueError(
                'storage.redirect sends clients on to Swift: it needs storage.kind = "swift"'
            )
        if not 60 <= self.redirect_seconds <= 86400:
            raise ValueError(
                "storage.redirect_seconds must lie between 60 (a slow client must have begun by "
                "then) and 86400 (so long is a right that was taken away still good)"
            )
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", self.prefix):
            raise ValueError("storage.prefix is 1 to 32 of a-z, 0-9 and -, and begins with no -")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStackConfig:
    """[openstack]: how the service user signs in, where ``swift`` or ``keystone`` is used."""

    cloud: str | None = None
    """An entry of clouds.yaml; without it OS_CLOUD, or what OS_AUTH_URL and its like say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GlanceConfig:
    """[glance]: image records in the cloud of [openstack]"""

    enabled: bool = False
    """Whether records are Glance's, which then says who of other projects may pull."""
    wait: float = 0.0
    """Seconds for which a push waits for its records; it succeeds in any case."""
    every_minutes: float = 5.0
    """How often it is looked for what people said and deleted in Glance; 0: never."""
    remember: float = 60.0
    """Seconds for which Glance's word is believed on what another project's people may pull."""

    def __post_init__(self) -> None:
        if not 0 <= self.wait <= 60:
            raise ValueError("glance.wait must lie between 0 and 60 seconds")
        if self.every_minutes < 0:
            raise ValueError("glance.every_minutes must not be negative")
        if not 1 <= self.remember <= 300:
            raise ValueError("glance.remember must lie between 1 and 300 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class GcConfig:
    """[gc]: what nothing needs any more, and when it goes."""

    every_minutes: float = 60.0
    """How often a server collects by itself; 0: never, `berth gc` alone does."""
    grace_hours: float = 24.0
    """How long a blob that nothing names is left alone after a push, a mount or a look at it."""
    upload_hours: float = 24.0
    """After which an upload that nobody writes to is given up."""
    trash_days: float = 14.0
    """For which deleted tags and manifests can be taken back."""
    untagged_days: float | None = None
    """After which a manifest that no tag, index or subject holds is deleted; else it stays."""
    verify_days: float = 0.0
    """Within which servers hash each blob's bytes anew; 0: never, `berth fsck` alone does."""
    verify_rate: float = 20.0
    """MiB a second that are read for it, at most."""

    def __post_init__(self) -> None:
        if self.grace_hours < 1:
            raise ValueError("gc.grace_hours must be 1 or more, or pushes in flight lose blobs")
        if self.upload_hours < 1:
            raise ValueError("gc.upload_hours must be 1 or more, or slow uploads are given up")
        if self.trash_days < 0 or self.every_minutes < 0:
            raise ValueError("gc.trash_days and gc.every_minutes must not be negative")
        hours = max(self.grace_hours, self.upload_hours, self.every_minutes / 60)
        if max(hours / 24, self.trash_days, self.verify_days, self.untagged_days or 0) > CENTURY:
            raise ValueError(f"the times of gc end at {CENTURY} days, a century")
        if self.verify_days < 0 or self.verify_rate <= 0:
            raise ValueError("gc.verify_days must not be negative, and gc.verify_rate more than 0")
        if self.untagged_days is not None and self.untagged_days * 24 < self.grace_hours:
            raise ValueError(
                "gc.untagged_days must not be less than gc.grace_hours, or an index's manifests "
                "go before the index comes"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerConfig:
    """[ledger]"""

    url: str | None = field(default=None, repr=False)
    """sqlite:///… or postgresql+psycopg://…; by default ledger.db in the storage directory."""

    def __post_init__(self) -> None:
        if self.url is not None:
            spelling.hold_ledger_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig:
    """[auth]"""

    kind: str = "none"
    """``none`` (loopback only: whoever reaches the server may do all), ``htpasswd`` or
    ``keystone``."""
    htpasswd: Path | None = None
    """File of ``user:bcrypt hash`` lines."""
    projects: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Project -> user -> role: reader, member, manager or admin."""
    domain: str = "default"
    """Id of the Keystone domain of projects and, unless they say another, of users."""
    domains: Mapping[str, str] = field(default_factory=dict)
    """Name -> id of other domains that may stand behind a user's name."""
    public_projects: tuple[str, ...] = ()
    """Projects whose repositories anybody may pull."""
    service: str = "berth"
    """This registry's name in tokens."""
    token_seconds: int = 300
    """How long an access token lasts."""

    def __post_init__(self) -> None:
        if self.kind not in {"none", "htpasswd", "keystone"}:
            raise ValueError('auth.kind must be "none", "htpasswd" or "keystone"')
        if self.kind == "htpasswd" and self.htpasswd is None:
            raise ValueError('auth.htpasswd must name a file where auth.kind is "htpasswd"')
        spelling.hold_service(self.service)
        if not 60 <= self.token_seconds <= 3600:
            raise ValueError("auth.token_seconds must lie between 60 and 3600")
        for project, roles in self.projects.items():
            for user, role in roles.items():
                if role not in {"reader", "member", "manager", "admin"}:
                    raise ValueError(
                        f"auth.projects.{project}.{user} must be reader, member, manager or admin"
                    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushConfig:
    """[push]"""

    require_references: bool = True
    """Whether a manifest is refused that names what the repository does not hold."""
    manifest_limit: int = 4 * 1024 * 1024
    """Bytes of a manifest at most; the specification asks for 4 MiB or more."""

    def __post_init__(self) -> None:
        if not 4 * 1024 * 1024 <= self.manifest_limit <= 64 * 1024 * 1024:
            raise ValueError("push.manifest_limit must lie between 4 MiB and 64 MiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaConfig:
    """[quota]: the most that each project may have, unless an administrator set other limits."""

    source: str = "config"
    """``config``, or ``keystone``: bytes and repositories are Keystone's unified limits."""
    bytes: int | None = None
    """Of a project: all its distinct blobs and manifests, those in its trash too; -1: any."""
    repositories: int | None = None
    tags: int | None = None
    repository_bytes: int | None = None
    """Of each repository."""
    repository_tags: int | None = None
    projects: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Project id -> ``bytes``, ``repositories``, ``tags`` of that project."""
    cache_seconds: float = 60.0
    """How long a limit of Keystone's is remembered."""

    def __post_init__(self) -> None:
        if self.source not in {"config", "keystone"}:
            raise ValueError('quota.source must be "config" or "keystone"')
        names = ("bytes", "repositories", "tags", "repository_bytes", "repository_tags")
        said = {f"quota.{name}": getattr(self, name) for name in names}
        for project, limits in self.projects.items():
            for name, limit in limits.items():
                if name not in {"bytes", "repositories", "tags"}:
                    raise ValueError(
                        f"quota.projects.{project}.{name}: say bytes, repositories or tags"
                    )
                said[f"quota.projects.{project}.{name}"] = limit
        for name, limit in said.items():
            if limit is not None and not -1 <= limit < 2**63:
                raise ValueError(f"{name} must be 0 or more, or -1 for no limit")
        if self.cache_seconds < 0:
            raise ValueError("quota.cache_seconds must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of it."""

    default_project: str = "library"
    """The project of repository names that have one component only."""
    http: HttpConfig = HttpConfig()
    storage: StorageConfig = StorageConfig()
    openstack: OpenStackConfig = OpenStackConfig()
    glance: GlanceConfig = GlanceConfig()
    gc: GcConfig = GcConfig()
    ledger: LedgerConfig = LedgerConfig()
    auth: AuthConfig = AuthConfig()
    push: PushConfig = PushConfig()
    quota: QuotaConfig = QuotaConfig()

    def __post_init__(self) -> None:
        spelling.hold_project(self.default_project)
        if self.quota.source == "keystone" and self.auth.kind != "keystone":
            raise ValueError(
                'quota.source = "keystone" needs auth.kind = "keystone": elsewhere projects are '
                "not Keystone's"
            )
        if self.auth.kind == "none":
            if not self.http.loopback:
                raise ValueError(
                    f"http.listen = {self.http.listen!r} is reachable from other machines, and "
                    'auth.kind = "none" would open the store to them: set auth.kind = "htpasswd"'
                )
            if self.http.trusted_proxies:
                raise ValueError(
                    'http.trusted_proxies cannot be used with auth.kind = "none": a proxy would '
                    "open the store to whoever reaches it"
                )

        if self.glance.enabled:
            if self.auth.kind != "keystone":
                raise ValueError(
                    'glance.enabled needs auth.kind = "keystone": Glance asks who one is'
                )
            if self.glance.remember + self.auth.token_seconds > TAKEN_BACK:
                raise ValueError(
                    "glance.remember and auth.token_seconds together are how long an image can "
                    "still be pulled that was taken back in Glance: lower one, so that they come "
                    f"to {TAKEN_BACK} seconds at most"
                )

    @property
    def ledger_url(self) -> str:
        """Where the ledger is."""
        return self.ledger.url or f"sqlite:///{self.storage.directory.absolute() / 'ledger.db'}"

    @classmethod
    def load(cls, path: Path | None, environment: Mapping[str, str] = os.environ) -> Self:
        """Read *path* (None: defaults alone), then BERTH_<TABLE>_<KEY> variables over it.

        Raises ConfigError, which names the key.
        """
        return load(cls, path, environment, ignored=CLIENT_VARIABLES)
