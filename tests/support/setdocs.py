"""Set documents for tests: the talk's, one that says everything, and as many as are wanted."""

import base64
import copy
import zlib
from typing import Any

from hypothesis import strategies as st

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


# Documents as many as are wanted ------------------------------------------------------------

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
STEPS = st.sampled_from(["a", "b", "opt", "log.d", "ü", "x y"])
PATHS = st.lists(STEPS, min_size=1, max_size=3).map(lambda steps: "/" + "/".join(steps))
CORES = st.integers(10, 64_000).flatmap(
    lambda number: st.sampled_from([f"{number}m", f"{number / 1000}", f"{number / 1000:.4f}"])
)
SIZES = st.integers(64, 4096).flatmap(
    lambda number: st.sampled_from([f"{number}Mi", f"{number}MB", f"{number}.5MiB", f"{number}Gi"])
)
SMALL_SIZES = st.integers(64, 4096).map(lambda number: f"{number}Mi")
SECONDS = st.integers(1, 50)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Document]:
    """Objects with any of *fields*."""
    return st.fixed_dictionaries({}, optional=fields)


EXECS = st.fixed_dictionaries(
    {"cmd": st.just("/bin/x")}, optional={"args": st.lists(TEXTS, max_size=2)}
)
COMMANDS = EXECS | st.fixed_dictionaries({"args": st.lists(TEXTS, max_size=2)})
SECRETS = st.builds(lambda text: {"secret": text}, TEXTS) | st.builds(
    lambda name: {"secret_ref": name}, NAMES
)
ENVS = st.dictionaries(st.sampled_from(["A", "LANG", "API_KEY", "x.y"]), TEXTS | SECRETS)
CONTENTS = st.one_of(
    st.builds(lambda text: {"content": text}, TEXTS | SECRETS),
    st.binary(max_size=9).map(lambda data: {"content_base64": base64.b64encode(data).decode()}),
)
PROBES = st.one_of(
    st.just({}),
    st.builds(lambda exec_: {"exec": exec_}, EXECS),
    st.builds(lambda port: {"tcp": {"port": port}}, st.integers(1, 65535)),
    st.builds(lambda port: {"http": {"port": port}}, st.integers(1, 65535)),
)


@st.composite
def v3_documents(draw: st.DrawFn) -> Document:
    """Good v3 documents of every kind."""
    names = draw(
        st.lists(NAMES.filter(lambda name: name != "infra"), min_size=1, max_size=3, unique=True)
    )
    indexes = draw(st.permutations(range(len(names))))
    volumes: dict[str, Document] = {}
    containers = [
        {"name": name, "index": index, **draw(_workloads(volumes))}
        for name, index in zip(names, indexes, strict=True)
    ]
    document: Document = {"version": "v3", "appkey": draw(NAMES), "containers": containers}
    document |= draw(some(id=st.integers(0, 99), labels=st.dictionaries(NAMES, TEXTS, max_size=2)))
    document |= draw(some(limits=some(shm=SMALL_SIZES)))
    if draw(st.booleans()):
        document["infra"] = draw(_workloads(volumes)) | draw(some(privileged=st.booleans()))
    if volumes:
        document["volumes"] = draw(st.permutations([*volumes.values()]))
    stop = draw(st.none() | st.integers(30, 600))
    if stop is not None:
        document["partition"] = {"stop_on_host_after_s": stop}
        if not volumes and draw(st.booleans()):
            document["partition"]["replace_after_s"] = stop + 4 * 50 + 30
    mode = draw(st.sampled_from(["host", "none", "some", "default"]))
    if mode == "host":
        document["host_network"] = True
    elif mode == "none":
        document["networks"] = []
    elif mode == "some":
        document["networks"] = draw(st.sampled_from(_NETWORKS))
    if mode in {"some", "default"} and draw(st.booleans()):
        document["ssh"] = draw(_logins(names))
    return document


_NETWORKS: list[list[Document]] = [
    [{"name": "prod"}],
    [{"vlan": 5, "ip": "10.0.0.9"}, {"name": "b", "ip": "2001:DB8:0::9"}],
]


@st.composite
def _logins(draw: st.DrawFn, names: list[str]) -> Document:
    keys, password = st.just([SSH_KEY]), st.just("correct horse") | st.just({"secret_ref": "pw"})
    login = draw(some(keys=keys, password=password).filter(bool))
    return login | draw(some(container=st.sampled_from(names)))


@st.composite
def _workloads(draw: st.DrawFn, volumes: dict[str, Document]) -> Document:
    workload: Document = {"image": draw(st.sampled_from(["web", "r:5/a/b:t"]))}
    workload |= {"cpu": draw(CORES), "mem": draw(SIZES)}
    workload |= draw(
        some(
            command=COMMANDS,
            env=ENVS,
            user=st.sampled_from(["app", "0:0"]),
            workdir=PATHS | st.just("/"),
            restart=some(policy=st.sampled_from(["always", "never"]), base_s=SECONDS),
            stop=some(signal=st.just("SIGINT"), grace_s=st.integers(0, 50), before=EXECS),
            limits=some(pids=st.integers(1, 99), writable=SIZES, logs=SMALL_SIZES),
        )
    )
    if draw(st.booleans()):
        workload["readiness"] = draw(PROBES) | draw(
            some(
                period_s=SECONDS, min_ready_s=st.integers(0, 9), ready_timeout_s=st.integers(10, 99)
            )
        )
    places = draw(st.lists(PATHS, max_size=4, unique=True))
    apart = [each for each in places if not any(_is_near(each, other) for other in places)]
    mounts, files = [], []
    for place in apart:
        kind = draw(st.sampled_from(["file", "host", "volume"]))
        if kind == "file":
            modes = some(mode=st.sampled_from(["644", "0755"]), uid=st.integers(0, 9))
            files.append({"path": place} | draw(CONTENTS) | draw(modes))
        elif kind == "host":
            mounts.append({"path": place, "host_path": draw(PATHS)})
        else:
            name = draw(NAMES)
            volumes.setdefault(name, draw(_volumes(name, len(volumes))))
            mounts.append({"path": place, "volume": name} | draw(some(read_only=st.booleans())))
    return workload | {"mounts": mounts, "files": files}


def _volumes(name: str, number: int) -> st.SearchStrategy[Document]:
    source = f"{number:08d}-0000-4000-8000-000000000000"
    return st.one_of(
        st.builds(lambda quota: {"name": name, "quota": quota}, SIZES),
        st.builds(lambda more: {"name": name, "from": source} | more, some(quota=SIZES)),
    )


def _is_near(place: str, other: str) -> bool:
    return place != other and (place + "/").startswith(other + "/")


ODD: st.SearchStrategy[Json] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.sampled_from([0.5, 2.0, 1e6, 2**60, -1]),
    st.sampled_from(
        ["", "x", "X", "web", "web\n", "/a", "/a/", "/a/../b", "/proc/x", "a/b", "0.8", "80", "1Gi",
         "5Ki", "999999Ti", "0.0001", "infra", "10.0.0.1", "::1", "AAA", "AA==", "é", "\x00", "v2"]
    ),
    st.just([]),
    st.just({}),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from(["secret", "secret_ref", "cmd", "path", "x"]), st.just("/a")),
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, documents: st.SearchStrategy[Document]) -> Document:
    """Documents with one to three things changed in them; some are still good."""
    document = cloned(draw(documents))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(document)
        if places:
            _change(draw, *draw(st.sampled_from(places)))
    return document


def _change(draw: st.DrawFn, holder: Json, name: Json) -> None:
    value = holder[name]
    if isinstance(holder, list) and len(holder) < 20:
        kinds = ["remove", "replace", "repeat"]
    else:
        kinds = ["remove", "replace", "add", "rename"]
    kind = draw(st.sampled_from(kinds))
    if kind == "remove":
        del holder[name]
    elif kind == "replace":
        holder[name] = draw(ODD)
    elif kind == "repeat":
        holder.append(copy.deepcopy(value))
    elif isinstance(holder, dict):
        new = draw(
            st.sampled_from(["x", "secret", "path", "name", "vlan", "content", "from", "quota"])
        )
        holder[new] = draw(ODD) if kind == "add" else holder.pop(name)


def _places(value: Json) -> list[tuple[Json, Json]]:
    """Every object and list in *value*, with each name and place in it."""
    names: list[Any] = []
    if isinstance(value, dict):
        names = [*value]
    elif isinstance(value, list):
        names = [*range(len(value))]
    places = [(value, name) for name in names]
    for name in names:
        places += _places(value[name])
    return places
