"""What can be done to a host's sets."""

import sys
import time
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import typer

from climg import given, output
from climg.agentcall import Agent, path_of
from climg.asking import make_sure
from climg.errors import Refused, Unavailable, WrongUsage
from climg.set_views import Container, Json, Set, agent_of, doing
from climg.text import one_line

Containers = Annotated[
    list[str] | None, typer.Option("--container", "-c", metavar="NAME", help="Only these.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print the set document in its normal form.")
]
Document = Annotated[
    str, typer.Argument(metavar="FILE", help="A set document in JSON; - is the standard input.")
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Until it is so; fail with the reason if it cannot be.")
]
_POLL = 0.1
_PATIENCE = 15.0
"""Seconds for which a reason may stand in the way before waiting ends."""
_GONE = "gone"
_CALLED = "climg --agent unix:/run/berth-agent/agent.sock"


def add_to(app: typer.Typer) -> None:
    """Give *app* these commands."""
    commands: dict[str, Callable[..., None]] = {
        "set-create": create,
        "set-update": update,
        "set-update-image": update_image,
        "set-exec": execute,
        "set-delete": delete,
        "set-restart": restart,
        "set-rebuild-disk": rebuild,
        "set-sync": sync,
        "set-password": set_password,
    }
    for name, command in commands.items():
        app.command(name)(command)
    for name, help_text in (
        ("start", "Start a set, or let a suspended one go on; nothing where it runs."),
        ("stop", "Stop a set: signal, grace, end. Its disks, volumes, addresses stay."),
        ("suspend", "Let a set's processes stand still where they are."),
        ("resume", "Let a suspended set's processes go on."),
    ):
        shown = f"{help_text}\n\nExamples:\n    {_CALLED} set-{name} shop --wait"
        app.command(f"set-{name}", help=shown)(_changer(name))


def create(
    context: typer.Context,
    document: Document,
    dry_run: DryRun = False,
    wait: Wait = False,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The same key makes one set, however often it is said."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a set of a document, and start it.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-create shop.json --wait

        climg set-create --dry-run shop.json

    """
    agent, raw = agent_of(context), given.document(document)
    if dry_run:
        output.as_json(agent.call("POST", "/sets", raw, dry_run="1"))
        return
    if key is not None and not (key and key.isascii() and key.isprintable()):
        raise WrongUsage("--key is a word of printable ASCII, such as a uuid")
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    _tell(agent, agent.call("POST", "/sets", raw, headers), as_json, wait=wait)


def update(
    context: typer.Context,
    name: Set,
    document: Document,
    dry_run: DryRun = False,
    wait: Wait = False,
    generation: Annotated[
        int | None, typer.Option(metavar="N", help="Only if the set is at this generation.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Have a set be as another document: limits at once, the rest container by container.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-update shop shop.json --generation 1

    """
    agent, raw = agent_of(context), given.document(document)
    if dry_run:
        output.as_json(agent.call("PUT", path_of(name), raw, dry_run="1"))
        return
    headers = {} if generation is None else {"If-Match": str(generation)}
    _tell(agent, agent.call("PUT", path_of(name), raw, headers), as_json, wait=wait)


def update_image(
    context: typer.Context,
    name: Set,
    container: Annotated[str, typer.Argument(metavar="CONTAINER")],
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Give one container another image while the others run on; back if it does not become ready.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-update-image shop web cart:1.5 --wait

    """
    agent = agent_of(context)
    body = {"container": container, "image": image}
    _tell(agent, agent.call("POST", path_of(name, "image"), body), as_json, wait=wait)


def execute(
    context: typer.Context,
    name: Set,
    words: Annotated[list[str], typer.Argument(metavar="PROGRAM [WORD]...")],
    container: Container = None,
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="Read this input first.")] = False,
) -> None:
    """Run a program in a container; its output, and its exit code.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-exec shop -c web -- ls -l /opt/logs

    """
    said = given.text() if stdin else ""
    body = {"cmd": words[0], "args": words[1:], "stdin": said}
    if container is not None:
        body["container"] = container
    text, code, is_all = agent_of(context).text("POST", path_of(name, "exec"), body)
    sys.stdout.write(text)
    sys.stdout.flush()
    if not is_all:
        typer.echo("climg: there was more: this is only the end of the output", err=True)
    if not code:
        raise Refused("the program was ended: it took too long")
    raise typer.Exit(int(code))


def delete(
    context: typer.Context,
    name: Set,
    purge: Annotated[bool, typer.Option("--purge", help="Its volumes too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Wait = False,
) -> None:
    """Delete a set; its volumes stay, unless they are purged.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-delete shop --yes --wait

    """
    agent = agent_of(context)
    found = agent.call("GET", path_of(name))
    more = " and its volumes" if purge else ""
    make_sure(f"Delete {found['appkey']} ({found['set']}){more}?", name, yes=yes)
    agent.call("DELETE", path_of(found["set"]), purge="1" if purge else None)
    if wait:
        _wait(agent, found["set"], _GONE)
    output.lines([f"{'deleted' if wait else 'deleting'} {found['set']}"])


def restart(
    context: typer.Context,
    name: Set,
    container: Containers = None,
    wait: Wait = False,
) -> None:
    """Stop containers and start them again, once, on their disks.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-restart shop -c web --wait

    """
    _operate(context, name, "restart", container, wait)


def rebuild(
    context: typer.Context,
    name: Set,
    container: Containers = None,
    wait: Wait = False,
) -> None:
    """Begin containers anew on their images; volumes, addresses and deployed files stay.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-rebuild-disk shop -c web --wait

    """
    _operate(context, name, "rebuild", container, wait)


def set_password(
    context: typer.Context,
    name: Set,
    stdin: Annotated[
        bool, typer.Option("--stdin", "-i", help="Read the password there; else it is asked for.")
    ] = False,
) -> None:
    """Give root another password for ssh, at once; who is logged in stays so.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-password shop

    """
    agent = agent_of(context)
    if stdin:
        password = given.text().removesuffix("\n")
    elif sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        raise WrongUsage("nobody is there to be asked for a password: say --stdin")
    told = agent.call("POST", path_of(name, "password"), {"password": password})
    _await_operation(agent, told["set"], told["operation"])
    output.lines([f"done {told['operation']}"])


def sync(context: typer.Context, name: Set, as_json: Json = False) -> None:
    """Have the agent look again at everything of a set, and tell it.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock set-sync shop

    """
    agent = agent_of(context)
    told = agent.call("POST", path_of(name, "sync"))
    _await_operation(agent, told["set"], told["operation"])
    _tell(agent, agent.call("GET", path_of(told["set"])), as_json, wait=False)


def _changer(action: str) -> Callable[..., None]:
    def change(
        context: typer.Context, name: Set, wait: Wait = False, as_json: Json = False
    ) -> None:
        agent = agent_of(context)
        told = agent.call("POST", path_of(name, action))
        if not (wait or as_json):
            told["state"] = doing(action, told)
        _tell(agent, told, as_json, wait=wait)

    return change


def _operate(
    context: typer.Context, name: str, action: str, containers: list[str] | None, wait: bool
) -> None:
    agent = agent_of(context)
    told = agent.call("POST", path_of(name, action), container=containers or None)
    wait = wait or told["level"] != "running"  # what is refused then is so at once
    if wait:
        _await_operation(agent, told["set"], told["operation"])
    output.lines([f"{'done' if wait else 'begun'} {told['operation']}"])


def _await_operation(agent: Agent, set_id: str, operation: str) -> None:
    """Until it is done. Raises Refused where it has failed, or something stands in its way."""
    end = time.monotonic() + _PATIENCE
    while True:
        found = agent.call("GET", path_of(set_id))
        own = next((each for each in found["operations"] if each["id"] == operation), None)
        if own is None or own["state"] == "failed":
            raise Refused((own or {}).get("reason") or "the operation is not known any more")
        if own["state"] == "done":
            return
        if found.get("reason") and time.monotonic() > end:
            told = f"{set_id} is {found['state']}: {found['reason']}"
            raise Refused(f"the operation goes on, and {told}")
        time.sleep(_POLL)


def _tell(agent: Agent, told: dict[str, Any], as_json: bool, *, wait: bool) -> None:
    if wait:  # a set that is to be stopped does not run when it has been changed
        told = _wait(agent, told["set"], told["level"])
    if as_json:
        output.as_json(told)
        return
    reason = f": {told['reason']}" if told.get("reason") else ""
    output.lines([f"{told['set']} {told['state']}{one_line(reason)}"])


def _wait(agent: Agent, set_id: str, state: str) -> dict[str, Any]:
    """Until the set is in *state*; raises Refused where it has come to another end.

    Also where a reason has kept it from it for a while: the agent goes on trying.
    """
    held_up: float | None = None
    while True:
        found = next((each for each in agent.call("GET", "/sets") if each["set"] == set_id), None)
        if found is None:
            if state == _GONE:
                return {}
            raise Unavailable(f"the set {set_id} is gone")
        if found["state"] == state:
            return dict(found)
        if not found.get("reason"):
            held_up = None
        elif held_up is None:
            held_up = time.monotonic()
        elif time.monotonic() > held_up + _PATIENCE:
            raise Refused(f"{set_id} is {found['state']} still: {found['reason']}")
        if found["level"] != state and state != _GONE:
            raise Refused(f"{set_id} is to be {found['level']} now: somebody has said so meanwhile")
        if found["state"] in {"degraded", "failed"} and state != _GONE:
            raise Refused(f"{set_id} is {found['state']}: {found.get('reason') or 'see set-show'}")
        time.sleep(_POLL)
