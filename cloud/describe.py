"""What a person's shell and the tests are told about a cloud that runs."""

import shlex
from typing import Any

from cloud.accounts import ACCOUNTS, CREDENTIAL, DOMAIN, PEOPLE, REGION, find_account
from cloud.layout import CloudError, Layout, Settings, read_json
from cloud.render import urls

VARIABLES = (
    "OS_CLOUD",
    "OS_TOKEN",
    "OS_AUTH_TYPE",
    "OS_USERNAME",
    "OS_PASSWORD",
    "OS_PROJECT_ID",
    "OS_PROJECT_NAME",
    "OS_USER_DOMAIN_ID",
    "OS_USER_DOMAIN_NAME",
    "OS_PROJECT_DOMAIN_ID",
    "OS_PROJECT_DOMAIN_NAME",
    "OS_APPLICATION_CREDENTIAL_ID",
    "OS_APPLICATION_CREDENTIAL_SECRET",
)
"""What decides as whom one signs in; what is not set is unset, so that nothing old mixes in."""


def describe(layout: Layout, settings: Settings) -> dict[str, Any]:
    """Answer addresses, ids and passwords as one document."""
    seeded = read_json(layout.seed_file)
    if seeded is None:
        raise CloudError("the cloud was not brought up to its end")
    secrets = layout.read_secrets()
    users = {
        account.name: {
            "id": seeded["users"][account.name],
            "password": secrets[account.name],
            "project": account.project,
            "roles": list(account.roles),
        }
        for account in ACCOUNTS
    }
    return {
        "region": REGION,
        "endpoints": urls(settings),
        "projects": seeded["projects"],
        "users": users,
        "application_credential": {
            "id": seeded["credential"],
            "name": CREDENTIAL,
            "user": PEOPLE[0].name,
            "secret": secrets["credential"],
        },
        "temp_url_key": secrets["temp_url_key"],
        "without": list(settings.without),
    }


def variables(document: dict[str, Any], user: str | None) -> dict[str, str]:
    """Answer the OS_ variables of *user*, or those of the application credential."""
    found = {
        "OS_AUTH_URL": document["endpoints"]["identity"],
        "OS_REGION_NAME": document["region"],
        "OS_IDENTITY_API_VERSION": "3",
    }
    if user is None:
        credential = document["application_credential"]
        return found | {
            "OS_AUTH_TYPE": "v3applicationcredential",
            "OS_APPLICATION_CREDENTIAL_ID": credential["id"],
            "OS_APPLICATION_CREDENTIAL_SECRET": credential["secret"],
        }
    account = find_account(user)
    return found | {
        "OS_AUTH_TYPE": "password",
        "OS_USERNAME": account.name,
        "OS_PASSWORD": document["users"][account.name]["password"],
        "OS_PROJECT_NAME": account.project,
        "OS_USER_DOMAIN_ID": DOMAIN,
        "OS_PROJECT_DOMAIN_ID": DOMAIN,
    }


def shell(found: dict[str, str]) -> str:
    """Answer *found* as lines for a shell's eval."""
    unset = [name for name in VARIABLES if name not in found]
    lines = [f"export {name}={shlex.quote(value)}" for name, value in found.items()]
    return "\n".join([f"unset {' '.join(unset)}", *lines])
