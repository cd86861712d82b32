"""Set documents for tests: the talk's, one that says everything, and as many as are wanted."""

import copy
import zlib
from typing import Any

from setspec.faults import DocumentInvalid, Fault
from setspec.setdocument import Accepted, Defaults, read_set

Json = Any
Document = dict[str, Any]

TALK = """\
{"version": "v2", "id": 1, "appkey": "com.sankuai.inf.hulk.test",
 "containers": [{"index": 0, "image": "hulk.test-prod",
   "options": {"name": "test", "cpu": 80, "mem": 20,
     "volumes": [{"path": "/opt/logs", "quota": 100}],
     "command": {"cmd": "/bin/bash", "args": ["-c", "run.sh"]}}}]}
"""
"""The talk's own set, letter by letter."""

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5m0h1XK7m2s5x8cU0m4l9 alice@example"
UUID = "6f1c1a52-8d0e-4c3f-9d57-2b7f0c0a4e11"

WHOLE: Document = {
    "version": "v3",
    "id": 7,
    "appkey": "com.example.shop.cart",
    "labels": {"team": "shop", "example.com/tier": "front"},
    "networks": [{"name": "prod", "ip": "10.20.0.5"}, {"vlan": 12}],
    "infra": {
        "image": "registry.example:5000/base/infra:1",
        "cpu": "100m",
        "mem": "64Mi",
        "privileged": True,
        "mounts": [{"path": "/host", "host_path": "/srv/shared", "read_only": True}],
    },
    "volumes": [
        {"name": "logs", "quota": "10Gi", "inodes": 100000},
        {"name": "data", "from": UUID},
    ],
    "limits": {"shm": "128Mi"},
    "ssh": {"container": "web", "keys": [SSH_KEY], "password": "correct horse"},
    "partition": {"stop_on_host_after_s": 120},
    "containers": [
        {
            "name": "web",
            "index": 1,
            "image": "team/web@sha256:" + "0" * 64,
            "cpu": "0.8",
            "mem": "512Mi",
            "command": {"cmd": "/bin/web", "args": ["--port", "8080"]},
            "env": {"LANG": "C.UTF-8", "DB_PASSWORD": "sesame", "SALT": {"secret": "grain"}},
            "user": "app:1000",
            "workdir": "/srv/app",
            "files": [
                {"path": "/etc/web.conf", "content": "port = 8080\n", "mode": "600", "uid": 1000},
                {"path": "/etc/blob", "content_base64": "gIGC", "gid": 5},
                {"path": "/etc/key", "content": {"secret": "unlock"}},
            ],
            "mounts": [{"path": "/opt/logs", "volume": "logs"}],
            "readiness": {
                "http": {"port": 8080, "path": "/health?deep=1"},
                "period_s": 2,
                "timeout_s": 3,
                "min_ready_s": 5,
                "ready_timeout_s": 90,
            },
            "restart": {
                "policy": "on-failure",
                "base_s": 2,
                "factor": 3,
                "cap_s": 30,
                "reset_after_s": 100,
            },
            "stop": {"signal": "SIGQUIT", "grace_s": 20, "before": {"cmd": "/bin/drain"}},
            "limits": {"pids": 64, "nofile": 1024, "writable": "1Gi", "logs": "1Mi"},
        },
        {
            "name": "log-shipper",
            "index": 0,
            "image": "team/shipper",
            "cpu": "100m",
            "mem": "64Mi",
            "mounts": [
                {"path": "/var/spool", "volume": "data"},
                {"path": "/in", "volume": "logs", "read_only": True},
            ],
            "readiness": {"exec": {"cmd": "/bin/ready", "args": ["-q"]}},
        },
    ],
}
"""Every field of v3 that can stand beside the others."""


def small(**fields: Json) -> Document:
    """The least v3 document, with *fields* over it."""
    return {"version": "v3", "appkey": "a", "containers": [container()], **fields}


def container(**fields: Json) -> Document:
    """The least container of a v3 document, with *fields* over it."""
    return {"name": "web", "index": 0, "image": "web", "cpu": "1", "mem": "64Mi", **fields}


def named(_: str, value: str) -> str:
    """A reference that is the same for the same secret; only tests may name them so."""
    return f"secret-{zlib.crc32(value.encode()):08x}"


def accepted(document: Document | str, defaults: Defaults | None = None) -> Accepted:
    return read_set(document, named, defaults or Defaults())


def refused(document: Document | str, defaults: Defaults | None = None) -> tuple[Fault, ...]:
    """The faults of *document*; empty if it is accepted."""
    try:
        accepted(document, defaults)
    except DocumentInvalid as error:
        return error.faults
    return ()


def told(document: Document | str) -> list[tuple[str, str]]:
    """Where *document* is at fault, and by which rule."""
    return [(fault.pointer, fault.rule) for fault in refused(document)]


def cloned(document: Document) -> Document:
    return copy.deepcopy(document)
