"""Registries that are slow, broken, busy or false: what a pull makes of them."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from hostimages.errors import (
    ContentCorrupt,
    ImageError,
    ImageUnknown,
    PullDenied,
    PullTooSlow,
    RegistryUnavailable,
)
from hostimages.images import Images, PullProgress
from hostimages.reference import Credential
from hostimages.settings import Patience
from support.environment import wait_until
from support.faultregistry import (
    PASSWORD,
    USER,
    Fault,
    Request,
    cut_after,
    fault_registry,
    ignore_range,
    keep_silent,
    say,
    send,
    stall,
    times,
    trickle,
    trickle_head,
)
from support.hostimages import Handmade, content_of, digest_of, ensure, files, left_over, opened

LAYERS = [files({f"srv/{n}": os.urandom(300_000)}) for n in range(2)]
IMAGE = Handmade.of(LAYERS)
SHORT = Patience(
    connect=timedelta(seconds=5),
    window=timedelta(seconds=1),
    least_rate=4000,
    deadline=timedelta(seconds=60),
    tries=3,
    longest_wait=timedelta(seconds=2),
)
SHORT_LIVED = "short"
ALICE = Credential(USER, PASSWORD)


@pytest.fixture
async def images(tmp_path: Path) -> AsyncIterator[Images]:
    async with opened(tmp_path / "cache", patience=SHORT) as opening:
        yield opening

        def is_clear() -> bool:
            return not any("staging" in each for each in left_over(tmp_path / "cache"))

        # Another layer's flight may still be on its way when one has failed.
        await asyncio.to_thread(wait_until, is_clear, "an end of what was staged", 10)


async def test_a_pull_that_broke_off_goes_on_where_it_was(images: Images) -> None:
    with fault_registry(IMAGE, times(3, cut_after(0.4))) as registry:
        image = await ensure(images, registry.reference)
        assert len(content_of(image.chain, "srv/0")) == 300_000
        starts = [heads.get("Range") for _, path, heads in registry.seen if "/blobs/" in path]
        assert len([each for each in starts if each and each != "bytes=0-"]) == 3
        assert (await images.cache()).fetched_bytes == sum(
            len(each.content) for each in IMAGE.layers
        )


async def test_a_registry_that_knows_no_ranges_is_borne_with(images: Images) -> None:
    faults = iter([cut_after(0.5), ignore_range, cut_after(0.5), ignore_range])

    def fault(request: Request, content: bytes) -> bool:
        return next(faults)(request, content)

    with fault_registry(Handmade.of(LAYERS[:1]), fault) as registry:
        image = await ensure(images, registry.reference)
        assert len(content_of(image.chain, "srv/0")) == 300_000


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_registry_is_asked_again_when_it_says(status: int, images: Images) -> None:
    with fault_registry(IMAGE, times(2, say(status, Retry_After="1"))) as registry:
        began = time.monotonic()
        await ensure(images, registry.reference)
        assert time.monotonic() - began >= 1
    with (
        fault_registry(Handmade.of([files({"y": b"y"})]), say(status)) as registry,
        pytest.raises(RegistryUnavailable, match=f"answers {status}") as refused,
    ):
        await ensure(images, registry.reference)
    assert refused.value.passing
    assert registry.layer_fetches == [SHORT.tries]


@pytest.mark.parametrize(
    "fault", [trickle, trickle_head, keep_silent], ids=lambda each: each.__name__
)
async def test_a_slow_registry_does_not_hold_a_pull_for_ever(fault: Fault, images: Images) -> None:
    with fault_registry(Handmade.of(LAYERS[:1]), fault) as registry:
        with pytest.raises(PullTooSlow, match="came"):
            await ensure(images, registry.reference)
        registry.fault = times(0, fault)
        await ensure(images, registry.reference)


async def test_a_deadline_ends_what_only_just_goes_on(tmp_path: Path) -> None:
    hasty = Patience(window=timedelta(seconds=30), least_rate=0, deadline=timedelta(seconds=2))
    async with opened(tmp_path / "cache", patience=hasty) as images:
        with (
            fault_registry(Handmade.of(LAYERS[:1]), trickle) as registry,
            pytest.raises(PullTooSlow, match="deadline"),
        ):
            await ensure(images, registry.reference)
        assert len(left_over(tmp_path / "cache")) == 1  # what came is kept


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x" * len(IMAGE.layers[0].content), "gzip|checksum|is not sha256"),
        (IMAGE.layers[0].content + b"x", "more than"),
        (IMAGE.layers[0].content[:-1] + b"\xff", "is not sha256|gzip data is broken"),
    ],
    ids=["other bytes", "too many", "one byte"],
)
async def test_false_bytes_are_thrown_away(
    content: bytes, reason: str, images: Images, tmp_path: Path
) -> None:
    with fault_registry(Handmade.of(LAYERS[:1]), send(content)) as registry:
        with pytest.raises(ImageError, match=reason):
            await ensure(images, registry.reference)
        assert left_over(tmp_path / "cache") == []
        assert (await images.cache()).layers == ()
        registry.fault = times(0, stall)
        await ensure(images, registry.reference)


async def test_a_false_manifest_or_config_is_not_believed(images: Images) -> None:
    other = Handmade.of(LAYERS[1:])
    with fault_registry(IMAGE) as registry:
        with pytest.raises(ContentCorrupt, match="another manifest"):
            await ensure(images, f"{registry.reference}@{other.digest}")
        registry.blobs[digest_of(IMAGE.config)] = other.config
        with pytest.raises(ImageError, match=r"other bytes|answered over"):
            await ensure(images, registry.reference)


async def test_what_a_power_cut_spoiled_is_fetched_anew(images: Images, tmp_path: Path) -> None:
    image = Handmade.of(LAYERS[:1])
    blob = image.layers[0].content
    name = digest_of(blob).replace(":", "-")
    (tmp_path / "cache" / "partial" / name).write_bytes(bytes(len(blob) // 2))
    with fault_registry(image) as registry:
        brought = await ensure(images, registry.reference)
        assert len(content_of(brought.chain, "srv/0")) == 300_000
    assert left_over(tmp_path / "cache") == []


async def test_credentials_are_shown_to_nobody_else(
    images: Images, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with fault_registry(IMAGE, guarded=True) as registry, fault_registry(IMAGE) as elsewhere:

        def away(request: Request, _content: bytes) -> bool:
            place = request.path.replace("127.0.0.1", "localhost")
            request.answer(307, b"", {"Location": f"http://{elsewhere.address}{place}"})
            return True

        registry.fault = away
        await ensure(images, registry.reference, ALICE)
        assert elsewhere.layer_fetches == [1, 1]
        assert all("Authorization" not in heads for _, _, heads in elsewhere.seen)
        assert PASSWORD not in caplog.text
        assert "token-" not in caplog.text


async def test_a_token_is_renewed_when_it_runs_out(images: Images) -> None:
    with fault_registry(IMAGE, guarded=True) as registry:

        def expire(request: Request, content: bytes) -> bool:
            registry.tokens.clear()
            return cut_after(0.5)(request, content)

        registry.fault = times(2, expire)
        await ensure(images, registry.reference, ALICE)
        asked = [path for _, path, _ in registry.seen if path == "/token"]
        assert len(asked) >= 2


async def test_who_may_not_is_told_so_without_his_secret(images: Images) -> None:
    with fault_registry(IMAGE, guarded=True) as registry:
        for credential in (None, Credential(USER, "wrong-7"), Credential(token="stale" + "-7")):
            with pytest.raises(PullDenied) as refused:
                await ensure(images, registry.reference, credential)
            assert "-7" not in str(refused.value)
        given = "given"
        registry.tokens.add(given)
        await ensure(images, registry.reference, Credential(token=given))


async def test_a_password_does_not_go_over_a_plain_wire_to_another_machine(images: Images) -> None:
    with fault_registry(IMAGE, guarded=True) as registry:
        registry.realm = "http://tokens.example/token"
        with pytest.raises(PullDenied, match="plain http"):
            await ensure(images, registry.reference, ALICE)


async def test_a_missing_blob_is_said(images: Images) -> None:
    with fault_registry(IMAGE) as registry:
        del registry.blobs[digest_of(IMAGE.layers[0].content)]
        with pytest.raises(ImageUnknown, match="has no blob sha256"):
            await ensure(images, registry.reference)


async def test_a_waiter_that_leaves_does_not_end_what_others_wait_for(images: Images) -> None:
    with fault_registry(IMAGE, times(2, stall)) as registry:
        first = asyncio.create_task(ensure(images, registry.reference))
        await asyncio.to_thread(wait_until, lambda: sum(registry.layer_fetches) == 2, "its start")
        second = asyncio.create_task(ensure(images, registry.reference))
        await asyncio.to_thread(wait_until, lambda: _waiters(images) == 4, "both")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        image = await second
        assert len(content_of(image.chain, "srv/1")) == 300_000
        assert registry.layer_fetches == [2, 2]  # once, and on from where it stalled


async def test_the_last_waiter_that_leaves_ends_it_at_once(images: Images) -> None:
    with fault_registry(IMAGE, stall) as registry:
        only = asyncio.create_task(ensure(images, registry.reference))
        await asyncio.to_thread(wait_until, lambda: sum(registry.layer_fetches) == 2, "its start")
        only.cancel()
        with pytest.raises(asyncio.CancelledError):
            await only
        assert images.progress() == []
        registry.fault = times(0, stall)
        await ensure(images, registry.reference)


async def test_one_sets_bad_credential_does_not_fail_anothers_pull(images: Images) -> None:
    with fault_registry(IMAGE, guarded=True) as registry:
        registry.tokens.add(SHORT_LIVED)
        registry.fault = times(2, _expire)
        results = await asyncio.gather(
            ensure(images, registry.reference, Credential(token=SHORT_LIVED)),
            *(ensure(images, registry.reference, ALICE) for _ in range(5)),
            return_exceptions=True,
        )
        assert sum(isinstance(each, PullDenied) for each in results) <= 1
        assert sum(not isinstance(each, BaseException) for each in results) >= 5


async def test_progress_is_told_while_a_pull_goes_on(images: Images) -> None:
    told: list[PullProgress] = []
    with fault_registry(IMAGE, times(1, stall)) as registry:
        await ensure(images, registry.reference, progress=told.append)
    assert told[0].layers == 2
    assert any(0 < each.bytes_here < each.bytes for each in told)
    assert (told[-1].layers_here, told[-1].bytes_here) == (2, told[-1].bytes)


def _waiters(images: Images) -> int:
    return sum(each.waiters for each in images._puller._layers.under_way())


def _expire(request: Request, content: bytes) -> bool:
    request.server.tokens.discard(SHORT_LIVED)
    return cut_after(0.5)(request, content)
