"""What can be seen of a host's sets: lists, one set, its output."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from climg import output, tables
from climg.agentcall import Agent, path_of
from climg.tables import Column
from climg.text import one_line

Set = Annotated[str, typer.Argument(metavar="SET", help="A uuid, its first letters, or an appkey.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Container = Annotated[
    str | None, typer.Option("--container", "-c", metavar="NAME", help="One container of the set.")
]
COLUMNS = (
    Column("ID", tables.ID_LEAST),
    Column("Appkey", tables.NAME_LEAST),
    Column("Generation", leaves=4),
    Column("State"),
    Column("Containers", leaves=1),
    Column("Addresses", leaves=2),
    Column("Reason", tables.NAME_LEAST, leaves=3),
)
_CONTAINERS = (
    Column("Name", tables.NAME_LEAST),
    Column("State"),
    Column("Ready", leaves=1),
    Column("Pid", leaves=3),
    Column("Attempts", leaves=2),
    Column("Exit", leaves=4),
    Column("Memory", leaves=5),
)

_DOING = {
    "start": "starting",
    "stop": "stopping",
    "suspend": "suspending",
    "resume": "resuming",
}


def add_to(app: typer.Typer) -> None:
    """Give *app* these commands."""
    commands: dict[str, Callable[..., None]] = {
        "set-list": listing,
        "set-show": show,
        "set-logs": logs,
    }
    for name, command in commands.items():
        app.command(name)(command)


def agent_of(context: typer.Context) -> Agent:
    """The agent that is meant."""
    return Agent(context.meta.get("agent"))


def listing(context: typer.Context, as_json: Json = False) -> None:
    """List the sets of a host.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-list

    """
    found = agent_of(context).call("GET", "/sets")
    if as_json:
        output.as_json(found)
        return
    rows = [
        (
            each["set"],
            each["appkey"],
            str(each["generation"]),
            each["state"],
            str(len(each["containers"])),
            ",".join(address.partition("/")[0] for address in each["addresses"]),
            one_line(each.get("reason") or ""),
        )
        for each in found
    ]
    output.lines(tables.counted(COLUMNS, rows, output.width()))


def show(context: typer.Context, name: Set, as_json: Json = False) -> None:
    """Show one set: its state, its containers, what it is made of.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-show shop

    """
    found = agent_of(context).call("GET", path_of(name))
    if as_json:
        output.as_json(found)
        return
    plain = [
        (key, str(found[key]) if not isinstance(found[key], list) else ", ".join(found[key]))
        for key in (
            "set",
            "appkey",
            "generation",
            "level",
            "state",
            "reason",
            "addresses",
            "host_keys",
        )
        if found.get(key)
    ]
    if (told := found.get("progress")) and told.get("total"):
        plain.append(("progress", f"{told['stage']}: {told['done']} of {told['total']} bytes"))
    plain += [
        ("rolled_back", f"{each['container']}, generation {each['generation']}: {each['reason']}")
        for each in found.get("rolled_back", [])
    ]
    plain += [("image", text) for text in _images(found)]
    plain += [("volume", _volume(each)) for each in found["volumes"]]
    rows = [
        (
            each["name"],
            each["state"],
            str(each["ready"]),
            str(each.get("pid", "")),
            str(each["attempts"]),
            str(each.get("exit_code", "")) if each["exit_known"] else "unknown",
            str(each.get("mem_used", "")),
        )
        for each in found["containers"]
    ]
    width = output.width()
    output.lines([*tables.pairs(plain, width), *tables.counted(_CONTAINERS, rows, width)])


def doing(action: str, told: dict[str, Any]) -> str:
    """The state of a set after an *action*; its own is that of before until the agent has begun."""
    state = str(told["state"])
    stands = state in {"suspended", "stopped"}  # what a reboot has stopped is not suspended
    is_former = {"running": stands, "suspended": not stands}.get(told["level"], state != "stopped")
    return _DOING[action] if is_former else state


def _images(found: dict[str, Any]) -> Iterator[str]:
    """Which image each container is to have, and by digest the one that it has."""
    spec = found["spec"]
    said = {each["name"]: each["image"] for each in spec["containers"]}
    said |= {"infra": spec["infra"]["image"]} if "infra" in spec else {}
    failed = {
        each["container"]
        for each in found.get("rolled_back", [])
        if each["generation"] == found["generation"]
    }
    for each in found["containers"]:
        name, digest = each["name"], each.get("digest")
        if name in failed and digest:
            yield f"{name}: {digest}, as {said.get(name, '')} was rolled back"
        else:
            yield f"{name}: {said.get(name, '')}" + (f" ({digest})" if digest else "")


def _volume(volume: dict[str, Any]) -> str:
    used, quota = (volume.get(name) for name in ("used_bytes", "quota_bytes"))
    room = f": {used} of {quota} bytes" if used is not None else ""
    return f"{volume['name']} ({volume['id']}), {volume['driver']}{room}"


def logs(
    context: typer.Context,
    name: Set,
    container: Container = None,
    tail: Annotated[int | None, typer.Option(min=0, metavar="N", help="The last lines.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
) -> None:
    """Print a container's output.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-logs shop --tail 20

    """
    last = None if tail is None else str(tail)
    query = {"container": container, "tail": last, "follow": "1" if follow else None}
    for line in agent_of(context).lines(path_of(name, "logs"), **query):
        typer.echo(one_line(line))
