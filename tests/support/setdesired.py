"""Desired states for tests, of the set document that says everything."""

from typing import Any

from setspec.canonical import digest
from setspec.desired import DesiredState
from setspec.desired_document import read_desired
from setspec.items import Reading
from setspec.shape import dump
from support.setdocs import UUID, WHOLE, Document, accepted, named

SHIM = "11111111-1111-4111-8111-111111111111"
HOST = "22222222-2222-4222-8222-222222222222"
SET = "33333333-3333-4333-8333-333333333333"
OTHER_SET = "44444444-4444-4444-8444-444444444444"
OPERATION = "55555555-5555-4555-8555-{:012}"
CRYPT = "$6$saltsalt$" + "a" * 86
DIGEST = "sha256:" + "0" * 64

ALLOCATION: Document = {
    "hostname": "cart-1",
    "ports": [
        {
            "id": "66666666-6666-4666-8666-666666666666",
            "device": "eth0",
            "network": "prod",
            "vlan": 10,
            "mac": "fa:16:3e:00:00:01",
            "addresses": ["10.20.0.5/24", "2001:db8::5/64"],
            "gateways": ["10.20.0.1"],
            "dns": ["10.20.0.2"],
            "routes": [{"to": "10.30.0.0/16", "via": "10.20.0.9"}],
            "mtu": 1450,
        },
        {
            "id": "77777777-7777-4777-8777-777777777777",
            "device": "eth1",
            "network": "vlan-12",
            "vlan": 12,
            "mac": "fa:16:3e:00:00:02",
            "addresses": [],
        },
    ],
    "volumes": [
        {"name": "logs", "id": "88888888-8888-4888-8888-888888888888", "storage": "ssd"},
        {"name": "data", "id": UUID},
    ],
    "images": [
        {"container": "infra", "reference": "registry.example:5000/base/infra:1"},
        {"container": "web", "reference": "team/web@" + DIGEST, "digest": DIGEST},
        {
            "container": "log-shipper",
            "reference": "registry.example:5000/team/shipper",
            "credential": {"secret_ref": "pull"},
        },
    ],
}

OPERATIONS: list[tuple[str, Document]] = [
    ("restart", {}),
    ("restart", {"containers": ["web", "infra"]}),
    ("rebuild_disk", {"containers": ["web"]}),
    (
        "snapshot",
        {
            "container": "web",
            "reference": "registry.example:5000/team/web:snap",
            "credential": {"secret_ref": "pull"},
            "with_files": True,
        },
    ),
    (
        "deploy",
        {
            "container": "web",
            "files": [
                {"path": "/etc/b", "content": "b"},
                {"path": "/etc/c", "content_base64": {"secret_ref": "bytes"}},
            ],
        },
    ),
    ("set-password", {"password": {"secret_ref": "login"}}),
    ("sync-status", {}),
]


def desired_set(document: Document = WHOLE, **fields: Any) -> Document:
    """The set of *document* as a shim sends it, with *fields* over it."""
    read = accepted(document)
    spec = dump(read.spec)
    secrets = {each.reference: each.value for each in read.secrets}
    secrets |= {named("", "correct horse"): CRYPT, "login": CRYPT, "pull": "t", "bytes": "gIE="}
    return {
        "set": SET,
        "generation": 3,
        "project": "shop",
        "level": "running",
        "fingerprint": digest(spec),
        "spec": spec,
        "allocation": ALLOCATION,
        "operations": operations(*OPERATIONS),
        "secrets": secrets,
        **fields,
    }


def operations(*kinds: tuple[str, Document]) -> list[Document]:
    return [
        {"id": OPERATION.format(number), "kind": kind, "args": args}
        for number, (kind, args) in enumerate(kinds)
    ]


def desired(**fields: Any) -> Document:
    """A complete desired state of one set, with *fields* over it."""
    return {
        "protocol": 1,
        "features": [],
        "shim": SHIM,
        "host": HOST,
        "epoch": {"incarnation": 1, "n": 2},
        "rev": 40,
        "complete": True,
        "sets": [desired_set()],
        "tombstones": [{"set": OTHER_SET, "generation": 9, "purge": True}],
        "sessions": [
            session("exec", {"command": {"cmd": "/bin/sh"}, "tty": True}),
            session("logs", {"follow": True, "tail": 100}) | {"id": OPERATION.format(99)},
        ],
        "acknowledged": [OPERATION.format(50)],
        **fields,
    }


def session(kind: str, args: Document) -> Document:
    return {
        "id": OPERATION.format(98),
        "set": SET,
        "container": "web",
        "kind": kind,
        "args": args,
        "expires_s": 30,
    }


def refusals(document: Document) -> list[tuple[str, str | None, list[tuple[str, str]]]]:
    """What of a desired state is refused: its kind, its id, its faults."""
    reading: Reading[DesiredState] = read_desired(document)
    return [
        (each.kind, each.id, [(fault.pointer, fault.rule) for fault in each.faults])
        for each in reading.refused
    ]
