"""Who is in the cloud: its projects, users and roles."""

from dataclasses import dataclass

REGION = "RegionOne"
DOMAIN = "default"

SERVICE_PROJECT = "service"
"""Whose account in Swift holds Berth's objects."""

PROJECTS = ("east", "west")
"""Two projects that share nothing."""

REGISTRY_ROLE = "berth_registry"
"""What makes Berth's service user an administrator of Glance, and of nothing else."""

RESELLER_ROLE = "ResellerAdmin"
"""Swift's own word for who may do all in every account."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user with roles in one project."""

    name: str
    project: str
    roles: tuple[str, ...]


ADMIN = Account("admin", "admin", ("admin", RESELLER_ROLE))
"""Keystone's bootstrap makes him."""

REGISTRY = Account("registry", SERVICE_PROJECT, ("service", "member", REGISTRY_ROLE))
"""Berth's service user: asks Keystone about tokens, owns the objects, writes image records."""

PEOPLE = (
    Account("alice", "east", ("member",)),
    Account("carol", "east", ("reader",)),
    Account("dora", "east", ("manager",)),
    Account("bob", "west", ("member",)),
)

SERVICES = (
    REGISTRY,
    Account("glance", SERVICE_PROJECT, ("service", "member")),
    Account("swift", SERVICE_PROJECT, ("service",)),
)

ACCOUNTS = (ADMIN, *PEOPLE, *SERVICES)

CREDENTIAL = "laptop"
"""The name of alice's application credential."""


def find_account(name: str) -> Account:
    """Answer the account of that name; raise KeyError if there is none."""
    return {account.name: account for account in ACCOUNTS}[name]
