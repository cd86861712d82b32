"""Set documents as many as are wanted: good ones of every kind, and such with something changed."""

import base64
import copy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from support.setdocs import SSH_KEY, Document, Json, cloned

BUSY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""Machines that run the tests are busy: no example fails for having been slow."""

Draws = st.SearchStrategy[Document]


def some(**fields: st.SearchStrategy[Any]) -> Draws:
    """Objects with any of *fields*."""
    return st.fixed_dictionaries({}, optional=fields)


def either(*ways: Draws) -> Draws:
    return st.one_of(*ways)


def only(name: str, values: st.SearchStrategy[Any]) -> Draws:
    """Objects with the field *name*."""
    return st.fixed_dictionaries({name: values})


NOTHING: Draws = st.just({})
NAMES = st.sampled_from(["a", "b2", "web", "log-shipper", "c-d-e", "x" * 63, "9"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
STEPS = ["a", "b", "opt", "log.d", "ü", "x y"]
PATHS = st.sampled_from(
    [f"/{one}" for one in STEPS] + [f"/{one}/{two}" for one in STEPS for two in STEPS]
)
CORES = st.integers(10, 64_000).map(
    lambda number: [f"{number}m", f"{number / 1000}", f"{number / 1000:.4f}"][number % 3]
)
SIZES = st.integers(64, 4096).map(
    lambda number: f"{number}" + ["Mi", "MB", ".5MiB", "Gi"][number % 4]
)
SMALL_SIZES = st.integers(64, 4096).map(lambda number: f"{number}Mi")
SECONDS = st.integers(1, 50)
PORTS = st.integers(1, 65535)
ARGS = st.lists(TEXTS, max_size=2)
EXECS = st.fixed_dictionaries({"cmd": st.just("/bin/x")}, optional={"args": ARGS})
SECRETS = either(only("secret", TEXTS), only("secret_ref", NAMES))
ENVS = st.dictionaries(st.sampled_from(["A", "LANG", "API_KEY", "x.y"]), TEXTS | SECRETS)
CONTENTS = either(
    only("content", TEXTS | SECRETS),
    only("content_base64", st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode())),
)
PROBES = either(
    NOTHING,
    only("exec", EXECS),
    only("tcp", only("port", PORTS)),
    only("http", only("port", PORTS)),
)
TIMES = some(period_s=SECONDS, min_ready_s=st.integers(0, 9), ready_timeout_s=st.integers(10, 99))
WORKLOADS = st.fixed_dictionaries(
    {"image": st.sampled_from(["web", "r:5/a/b:t"]), "cpu": CORES, "mem": SIZES},
    optional={
        "command": either(EXECS, only("args", ARGS)),
        "env": ENVS,
        "user": st.sampled_from(["app", "0:0"]),
        "workdir": PATHS | st.just("/"),
        "restart": some(policy=st.sampled_from(["always", "never"]), base_s=SECONDS),
        "stop": some(signal=st.just("SIGINT"), grace_s=st.integers(0, 50), before=EXECS),
        "limits": some(pids=st.integers(1, 99), writable=SIZES, logs=SMALL_SIZES),
        "readiness": st.builds(lambda probe, times: probe | times, PROBES, TIMES),
    },
)
MODES = some(mode=st.sampled_from(["644", "0755"]), uid=st.integers(0, 9))
FILES = st.builds(lambda content, mode: content | mode, CONTENTS, MODES)
VOLUMES = st.fixed_dictionaries({"quota": SIZES}, optional={"inodes": st.integers(16, 99)})
MOUNTS = either(
    only("host_path", PATHS),
    st.fixed_dictionaries({"volume": NAMES}, optional={"read_only": st.booleans()}),
)
PLACES = st.lists(st.tuples(PATHS, FILES | MOUNTS), max_size=3, unique_by=lambda place: place[0])
COMMON = some(
    id=st.integers(0, 99),
    labels=st.dictionaries(NAMES, TEXTS, max_size=2),
    limits=some(shm=SMALL_SIZES),
    infra=st.builds(lambda work, more: work | more, WORKLOADS, some(privileged=st.booleans())),
)
NETWORKS: list[Document] = [
    {"host_network": True},
    {"networks": []},
    {},
    {"networks": [{"name": "prod"}]},
    {"networks": [{"vlan": 5, "ip": "10.0.0.9"}, {"name": "b", "ip": "2001:DB8:0::9"}]},
]
LOGINS = some(
    keys=st.just([SSH_KEY]), password=st.sampled_from(["correct horse", {"secret_ref": "pw"}])
).filter(bool)


@st.composite
def v3_documents(draw: st.DrawFn) -> Document:
    """Good v3 documents of every kind."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    indexes = draw(st.permutations(range(len(names))))
    document = {"version": "v3", "appkey": draw(NAMES), **draw(COMMON)}
    document["containers"] = [
        {"name": name, "index": index, **draw(WORKLOADS)}
        for name, index in zip(names, indexes, strict=True)
    ]
    volumes: dict[str, Document] = {}
    for workload in (*document["containers"], document.get("infra", {})):
        if workload:
            workload.update(_placed(draw(PLACES), draw(VOLUMES), volumes))
    if volumes:
        document["volumes"] = [*volumes.values()]
    document |= draw(st.sampled_from(NETWORKS))
    stop = draw(st.none() | st.integers(30, 600))
    if stop is not None:
        document["partition"] = {"stop_on_host_after_s": stop}
        if not volumes:
            document["partition"]["replace_after_s"] = stop + 4 * 50 + 30
    if "host_network" not in document and document.get("networks") != [] and draw(st.booleans()):
        document["ssh"] = draw(LOGINS) | draw(some(container=st.sampled_from(names)))
    return document


def _placed(
    places: list[tuple[str, Document]], volume: Document, volumes: dict[str, Document]
) -> Document:
    """Mounts and files at those *places* that do not lie in one another."""
    mounts, files = [], []
    for path, thing in places:
        if any(path != other and (path + "/").startswith(other + "/") for other, _ in places):
            continue
        if "volume" not in thing and "host_path" not in thing:
            files.append({"path": path, **thing})
            continue
        mounts.append({"path": path, **thing})
        if "volume" in thing:
            name = thing["volume"]
            source = {"from": f"{len(volumes):08d}-0000-4000-8000-000000000000"}
            kept = source if "inodes" in volume else {}
            volumes.setdefault(name, {"name": name, **volume, **kept})
    return {"mounts": mounts, "files": files}


ODD: st.SearchStrategy[Json] = st.one_of(
    st.sampled_from([None, True, False, 0, 1, -1, 70000, 0.5, 2.0, 1e6, 2**60, [], {}, [0], [[]]]),
    st.sampled_from(
        ["", "x", "X", "web", "web\n", "/a", "/a/", "/a/../b", "/proc/x", "a/b", "0.8", "80", "1Gi",
         "5Ki", "999999Ti", "0.0001", "infra", "10.0.0.1", "::1", "AAA", "AA==", "é", "\x00", "v2"]
    ),
    st.dictionaries(st.sampled_from(["secret", "secret_ref", "cmd", "path"]), st.just("/a")),
)  # fmt: skip
NEW_NAMES = st.sampled_from(["x", "secret", "path", "name", "vlan", "content", "from", "quota"])
KINDS = st.sampled_from(["remove", "replace", "more", "rename"])


@st.composite
def mutated(draw: st.DrawFn, documents: Draws) -> Document:
    """Documents with one to three things changed in them; some are still good."""
    document = cloned(draw(documents))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(document)
        if places:
            holder, name = places[draw(st.integers(0, len(places) - 1))]
            _change(draw, holder, name)
    return document


def _change(draw: st.DrawFn, holder: Json, name: Json) -> None:
    kind = draw(KINDS)
    if kind == "remove":
        del holder[name]
    elif kind == "replace":
        holder[name] = draw(ODD)
    elif isinstance(holder, list):
        holder.append(copy.deepcopy(holder[name]))
    else:
        holder[draw(NEW_NAMES)] = draw(ODD) if kind == "more" else holder.pop(name)


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
