"""The commands: what is asked is read, found and printed."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer

from climg import (
    actions,
    chains,
    host_cache,
    host_disk,
    output,
    quota,
    records,
    set_changes,
    set_views,
    tables,
    target,
    trash,
    trees,
)
from climg.asking import make_sure
from climg.chains import Catalogue
from climg.errors import WrongUsage
from climg.records import Record

if TYPE_CHECKING:
    from climg.cloud import ImageService

AFTERWARDS = "; the registry removes the tag once it has missed the record for ten minutes"
"""Where the image service is a cloud's."""
app = typer.Typer(
    epilog="Exit codes: 0 done, 1 refused or not found, 2 wrong usage, 3 service unavailable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
trash.add_to(app)
quota.add_to(app)
set_views.add_to(app)
host_cache.add_to(app)
host_disk.add_to(app)
set_changes.add_to(app)

Name = Annotated[
    str,
    typer.Argument(
        metavar="ID|NAME", help="NAME is repository:tag, project/repository:tag, or a VM image's."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def choose(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            help=f"Registry; else BERTH_URL, else the cloud of OS_…, else {target.DEFAULT_URL}.",
            metavar="URL",
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            help="Sign in to the registry; else BERTH_USER. The password is BERTH_PASSWORD, "
            "or asked for.",
            metavar="USER",
        ),
    ] = None,
    cacert: Annotated[
        str | None,
        typer.Option(help="PEM file to trust; else BERTH_CACERT.", metavar="FILE"),
    ] = None,
    os_cloud: Annotated[
        str | None, typer.Option(help="A cloud of clouds.yaml, with its Glance.", metavar="CLOUD")
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(help="A host's agent, for set-…; else BERTH_AGENT.", metavar="unix:PATH"),
    ] = None,
) -> None:
    """Container images and VM images of a cloud, and sets of containers on its hosts.

    Examples:
        climg image-list --history

        climg --url https://registry.example.org --user alice image-show library/app:1

        climg --os-cloud mycloud image-tree app:1

    """
    context.meta["agent"] = agent or os.environ.get("BERTH_AGENT")
    context.obj = lambda: target.choose(url, user, cacert, os_cloud, os.environ)


@app.command("image-list")
def image_list(
    context: typer.Context,
    history: Annotated[
        bool, typer.Option("--history", help="Each image with its layers, down to the base.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=10**9, help="Named images at most, the newest first.", metavar="N"),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Only those of this name; * and ? stand for anything.", metavar="NAME"),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="Only those of this project.", metavar="PROJECT")
    ] = None,
    as_json: Json = False,
) -> None:
    """List images: tags of repositories and VM images, the newest first.

    Examples:
        climg image-list --limit 20

        climg image-list --history --name 'library/app:*'

        climg image-list --project library --json

    """
    with _opened(context) as service:
        catalogue = Catalogue(service)
        filters = {} if project is None else {"owner": service.find_project(project)}
        found = catalogue.named(filters, chains.liking(name), limit)
        if history:
            if not (limit or name or project):
                catalogue.read_hidden()
            catalogue.complete(found)
            found = catalogue.history(found)
    if as_json:
        output.as_json([records.as_json(record) for record in found])
    else:
        output.lines(tables.listing(found, output.width()))


@app.command("image-show")
def image_show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show one image: all that its record says, and who it is shared with.

    Examples:
        climg image-show library/app:1

        climg image-show --json fb9205ac-2dd0-4d5c-8f0c-6f6c3ad0a1f3

    """
    with _opened(context) as service:
        record = Catalogue(service).find(name)
        members = actions.members(service, record)
    if as_json:
        output.as_json({**records.as_json(record), "members": members})
    else:
        output.lines(tables.pairs(tables.fields(record, members), output.width()))


@app.command("image-tree")
def image_tree(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="ID|NAME", help="One image; else all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw images as trees: an index, its platforms, their layers from the top to the base.

    Examples:
        climg image-tree

        climg image-tree library/app:1

    """
    with _opened(context) as service:
        catalogue = Catalogue(service)
        if name is None:
            found = catalogue.named()
            catalogue.read_hidden()
        else:
            top = catalogue.find(name)
            found = catalogue.tags(top) if top.kind == "repository" else [top]
        catalogue.complete(found)
    if as_json:
        output.as_json([trees.as_json(catalogue, record) for record in found])
    else:
        drawn = [trees.draw(trees.node(catalogue, each), output.width()) for each in found]
        output.lines(line for lines in drawn for line in lines)


@app.command("image-delete")
def image_delete(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an image: removes the tag; layers stay while another image has them.

    Examples:
        climg image-delete library/app:1

        climg image-delete --yes library/app:1

    """
    with _opened(context) as service:
        record = Catalogue(service).find(name)
        make_sure(f"Delete {record.label} ({record.id})?", record.label, yes=yes)
        service.delete(record.id)
        later = service.is_glance and record.kind == "tag"
    output.lines([f"deleted {record.label}{AFTERWARDS if later else ''}"])


@app.command("image-share")
def image_share(
    context: typer.Context,
    name: Name,
    project: Annotated[
        str, typer.Argument(metavar="PROJECT", help="The other project: ID, or name.")
    ],
    remove: Annotated[bool, typer.Option("--remove", help="Share no longer.")] = False,
) -> None:
    """Share an image, or a whole repository, with another project, or no longer.

    Who is in that project can pull it then; it is in his lists once he has accepted it.

    Examples:
        climg image-share library/app:1 payments

        climg image-share library/app payments

        climg image-share --remove library/app:1 payments

    """
    change = actions.unshare if remove else actions.share
    _change(context, name, lambda service, record: change(service, record, project))


@app.command("image-publish")
def image_publish(
    context: typer.Context,
    name: Name,
    private: Annotated[
        bool, typer.Option("--private", help="The contrary: only its project sees it.")
    ] = False,
    community: Annotated[
        bool,
        typer.Option("--community", help="For all who sign in; it is in nobody's list."),
    ] = False,
) -> None:
    """Let everybody see an image or a whole repository, without signing in too; or no longer.

    Examples:
        climg image-publish library/base:1

        climg image-publish --community library/base

        climg image-publish --private library/base:1

    """
    if private and community:
        raise WrongUsage("--private and --community are contraries: leave one of them out")
    visibility = "private" if private else "community" if community else "public"
    _change(context, name, lambda service, record: actions.publish(service, record, visibility))


def _change(
    context: typer.Context, name: str, change: Callable[["ImageService", Record], str]
) -> None:
    with _opened(context) as service:
        said = change(service, Catalogue(service).find(name))
    output.lines([said])


def _opened(context: typer.Context) -> "AbstractContextManager[ImageService]":
    """The image service that the options mean; its client takes half a second to load."""
    from climg.opening import opened  # noqa: PLC0415 - not for --help and completion

    return opened(context.obj())
