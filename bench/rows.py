"""What is measured: the rows, and how large they are in a full and in a quick run."""

from dataclasses import dataclass

MIB, GIB = 1 << 20, 1 << 30
NOBODYS = f"sha256:{'0' * 64}"
"""A blob that nobody pushes."""
COLD = 16 * 1024
"""Bytes of a blob that is only asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of everything; sizes in bytes, times in seconds."""

    rounds: int
    push: int = 64 * MIB
    pull: int = 256 * MIB
    repeats: int
    """Blobs that a single stream moves in one measurement; four or eight streams move one each."""
    duration: float
    """Of rows that send requests as fast as they are answered."""
    warm_up: float
    tags: int
    cold: int
    """Blobs that are asked for once each, of a server that has just started."""
    memory: int
    project: str = "bench"
    """Of the images that are pushed: one in which the pusher may, where a server asks."""


FULL = Scale(rounds=3, repeats=4, duration=1.5, warm_up=0.3, tags=10_000, cold=1000, memory=GIB)
QUICK = Scale(
    rounds=1,
    push=32 * MIB,
    repeats=2,
    duration=0.3,
    warm_up=0.1,
    tags=500,
    cold=200,
    memory=128 * MIB,
)
SWIFT = Scale(
    rounds=3,
    repeats=2,
    duration=3.0,
    warm_up=0.5,
    tags=400,
    cold=40,
    memory=128 * MIB,
    project="east",
)
SWIFT_QUICK = Scale(
    rounds=1, push=32 * MIB, pull=128 * MIB, repeats=2, duration=1.0, warm_up=0.2, tags=100,
    cold=30, memory=64 * MIB, project="east",
)  # fmt: skip
"""On Swift the peer needs a second for what takes it milliseconds on a disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing measured on both servers."""

    name: str
    group: str
    """Rows of a group share a pair of servers, started on empty directories."""
    unit: str
    arguments: tuple[str, ...]
    """For the load generator; {manifest}, {layer} and {blob} stand for digests of the seed."""
    before: tuple[str, ...] = ()
    """What the generator does first; the server is started anew after it."""
    once: bool = False
    """Measured in one round only: it takes long by itself, or cannot be repeated."""

    @property
    def counts_bytes(self) -> bool:
        return self.unit == "MiB/s"

    @property
    def has_limit(self) -> bool:
        """Whether plain requests to Swift can move the same bytes."""
        return self.counts_bytes and not self.reports_memory

    @property
    def reports_memory(self) -> bool:
        return self.group == "memory"


def make(scale: Scale) -> list[Row]:
    """Answer all rows, in the order in which they run."""
    return [
        *_pushes(scale),
        *_pulls(scale),
        *_requests(scale),
        *_cold(scale),
        *_images(scale),
        _memory(scale),
    ]


def _pushes(scale: Scale) -> list[Row]:
    return [
        Row(
            name=f"push-{style}-s{streams}",
            group="push",
            unit="MiB/s",
            arguments=_words(
                do="push",
                repository="bench/push",
                style=style,
                streams=streams,
                count=scale.repeats if streams == 1 else 1,
                size=scale.push,
            ),
        )
        for style in ("monolithic", "chunked", "streamed")
        for streams in (1, 4)
    ]


def _pulls(scale: Scale) -> list[Row]:
    return [
        Row(
            name=f"pull-s{streams}",
            group="read",
            unit="MiB/s",
            arguments=_words(
                do="pull",
                streams=streams,
                count=scale.repeats if streams == 1 else 1,
                size=scale.pull,
                digest="{blob}",
            ),
        )
        for streams in (1, 8)
    ]


def _requests(scale: Scale) -> list[Row]:
    seed = "/v2/bench/seed"
    kinds = {
        "manifest-get-tag": ("GET", f"{seed}/manifests/latest", "{manifest}"),
        "manifest-get-digest": ("GET", f"{seed}/manifests/{{manifest}}", "{manifest}"),
        "manifest-head-tag": ("HEAD", f"{seed}/manifests/latest", "{manifest}"),
        "manifest-head-digest": ("HEAD", f"{seed}/manifests/{{manifest}}", "{manifest}"),
        "blob-head": ("HEAD", f"{seed}/blobs/{{layer}}", "{layer}"),
    }
    page = f"{seed}/tags/list?n=100&last=t{scale.tags // 2:05}"
    times = {"duration": f"{scale.duration}s", "warm-up": f"{scale.warm_up}s"}
    made = [
        Row(
            name=f"{kind}-c{streams}",
            group="read",
            unit="req/s",
            arguments=_words(
                do="requests", method=method, path=path, digest=digest, streams=streams, **times
            ),
        )
        for kind, (method, path, digest) in kinds.items()
        for streams in (1, 16, 64)
    ]
    made += [
        Row(
            name=f"blob-head-new-c{streams}",
            group="read",
            unit="req/s",
            arguments=_words(
                do="requests", method="HEAD", path=f"{seed}/blobs/{NOBODYS}", status=404,
                streams=streams, **times,
            ),
        )
        for streams in (1, 16)
    ]  # fmt: skip
    puts = Row(
        name="manifest-put-c8",
        group="read",
        unit="req/s",
        arguments=_words(do="tags", streams=8, count=scale.tags),
        once=True,
    )
    pages = [
        Row(
            name=f"tags-page-c{streams}",
            group="read",
            unit="req/s",
            arguments=_words(do="requests", method="GET", path=page, streams=streams, **times),
        )
        for streams in (1, 16)
    ]
    return [*made, puts, *pages]


def _cold(scale: Scale) -> list[Row]:
    """Rows of what a replica that did not take the push, or one that has just started, is asked."""
    blobs: dict[str, str | int] = {"repository": "bench/cold", "count": scale.cold, "size": COLD}
    return [
        Row(
            name=f"blob-head-cold-c{streams}",
            group="cold",
            unit="req/s",
            before=_words(do="push", **blobs),
            arguments=_words(do="heads", streams=streams, **blobs),
        )
        for streams in (1, 16)
    ]


def _images(scale: Scale) -> list[Row]:
    times = {"duration": f"{scale.duration}s", "warm-up": f"{scale.warm_up}s"}
    return [
        Row(
            name=f"image-push-c{streams}",
            group="image",
            unit="images/s",
            arguments=_words(
                do="images", repository=f"{scale.project}/image", streams=streams, **times
            ),
        )
        for streams in (1, 8)
    ]


def _memory(scale: Scale) -> Row:
    size = f"{scale.memory // GIB}GiB" if scale.memory >= GIB else f"{scale.memory // MIB}MiB"
    return Row(
        name=f"uploads-s8-{size}",
        group="memory",
        unit="MiB/s",
        arguments=_words(
            do="push",
            repository="bench/memory",
            style="mixed",
            streams=8,
            size=scale.memory,
            every="20ms",
        ),
        once=True,
    )


def prepares(row: Row, asked: list[Row]) -> bool:
    """Whether *row* must run because another one that was *asked* for reads what it writes."""
    return row.name == "manifest-put-c8" and any("tags-page" in each.name for each in asked)


def _words(**options: str | int) -> tuple[str, ...]:
    return tuple(f"-{name}={value}" for name, value in options.items())
