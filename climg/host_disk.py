"""What lies on a host's disk: volumes, and the pools that they and writable layers lie in."""

from typing import Annotated, Any

import typer

from climg import output, tables
from climg.agentcall import path_of
from climg.asking import make_sure
from climg.set_views import Json, agent_of
from climg.tables import Column

Volume = Annotated[
    str, typer.Argument(metavar="VOLUME", help="A volume's id, or the first letters of it.")
]
_VOLUMES = (
    Column("ID", tables.ID_LEAST),
    Column("Name", tables.NAME_LEAST),
    Column("Driver", leaves=3),
    Column("Quota"),
    Column("Used", leaves=1),
    Column("Files", leaves=4),
    Column("In_use", leaves=2),
    Column("Set", tables.ID_LEAST, leaves=5),
)
_POOLS = (
    Column("Name"),
    Column("Driver"),
    Column("Capacity"),
    Column("Used"),
    Column("Reserved"),
    Column("Inodes", leaves=1),
    Column("Used_inodes", leaves=1),
    Column("Reserved_inodes", leaves=2),
)


def add_to(app: typer.Typer) -> None:
    """Give *app* these commands."""
    app.command("volume-list")(listing)
    app.command("volume-show")(show)
    app.command("volume-purge")(purge)
    app.command("pool-list")(pools)


def listing(context: typer.Context, as_json: Json = False) -> None:
    """List a host's volumes, those that no set has any more too.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock volume-list

    """
    found = agent_of(context).call("GET", "/volumes")
    if as_json:
        output.as_json(found)
        return
    names = ("id", "name", "driver", "quota", "used", "used_inodes", "in_use", "set")
    rows = [tuple(_text(each[name]) for name in names) for each in found]
    output.lines(tables.counted(_VOLUMES, rows, output.width()))


def show(context: typer.Context, volume: Volume, as_json: Json = False) -> None:
    """Show one volume: its quota, what is in it, and whose it is or was.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock volume-show 6f1c1a52

    """
    found = agent_of(context).call("GET", path_of(volume, kind="volume"))
    if as_json:
        output.as_json(found)
        return
    plain = [(name, _text(value)) for name, value in found.items() if name != "owner"]
    output.lines(tables.pairs(plain, output.width()))


def purge(
    context: typer.Context,
    volume: Volume,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a volume that no set has, and all that is in it.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock volume-purge 6f1c1a52

    """
    agent = agent_of(context)
    path = path_of(volume, kind="volume")
    found = agent.call("GET", path)
    used = _text(found["used"]) or "an unknown number of"
    question = f"Remove volume {found['name']} ({found['id']}) with {used} bytes?"
    make_sure(question, f"volume {found['name']}", yes=yes)
    told = agent.call("DELETE", f"/volumes/{found['id']}")
    output.lines([f"purged {told['id']}"])


def pools(context: typer.Context, as_json: Json = False) -> None:
    """List a host's pools: bytes and files that there are, are used, and were promised.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock pool-list

    """
    found = agent_of(context).call("GET", "/pools")
    if as_json:
        output.as_json(found)
        return
    names = (
        "name", "driver", "capacity_bytes", "used_bytes", "reserved_bytes", "capacity_inodes",
        "used_inodes", "reserved_inodes",
    )  # fmt: skip
    rows = [tuple(_text(each[name]) for name in names) for each in found]
    output.lines(tables.counted(_POOLS, rows, output.width()))


def _text(value: Any) -> str:
    """A cell: nothing where nothing is known."""
    return "" if value is None else str(value)
