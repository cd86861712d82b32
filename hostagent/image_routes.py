"""What an operator may do about the image cache, over the agent's socket."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def collect(request: Request) -> Response:
    """Let unneeded layers go, if the marks are passed; ?all=yes: whatever nobody has pinned."""
    done = request.app.state.images.collect(everything=request.query_params.get("all") == "yes")
    held = [
        {
            "diff_id": str(diff_id),
            "bytes": size,
            "holders": [{"set": name, "generation": generation} for name, generation in holders],
        }
        for diff_id, (size, holders) in done.held.items()
    ]
    told = {"bytes": done.bytes, "inodes": done.inodes, "short": done.short, "held": held}
    return JSONResponse({**told, "gone": [str(each) for each in done.gone]})


def check(request: Request) -> Response:
    """Look whether all layers are as they were placed; those that are not."""
    found = request.app.state.images.check()
    return JSONResponse([{"diff_id": str(each.diff_id), "gone": each.gone} for each in found])


ROUTES = (
    Route("/cache/collect", collect, methods=["POST"]),
    Route("/cache/check", check, methods=["POST"]),
)
