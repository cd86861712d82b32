"""What this server counts, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/).

Several workers count in files of one directory, which ``PROMETHEUS_MULTIPROC_DIR`` must name before
this is imported; whichever of them is asked adds all up.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


def _latest(name: str, words: str) -> Gauge:
    """What whichever process looked last says for all."""
    return Gauge(name, words, multiprocess_mode="mostrecent")


_ready = _latest("berth_ready", "1 while names can be changed and denied.")
_requests = Counter("berth_requests_total", "Requests answered.", ["resource", "method", "status"])
_request_seconds = Histogram(
    "berth_request_seconds", "Time from a request's head to its answer's end.",
    ["resource", "method"], buckets=_SECONDS,
)  # fmt: skip
_sent = Counter("berth_sent_bytes_total", "Bytes of answers' bodies.", ["resource"])
_flushes = Histogram(
    "berth_journal_flush_seconds", "Time to bring lines into the journal, durably.",
    buckets=_SECONDS,
)  # fmt: skip
_lines = Counter("berth_journal_lines_total", "Lines brought into the journal.")
_images = Counter("berth_images_total", "Image records handled, by what came of it.", ["outcome"])
_waiting = _latest("berth_images_waiting", "Image records that wait to be sent.")
_waiting_seconds = _latest(
    "berth_images_waiting_seconds", "For how long the oldest of them has been waiting."
)
_parked = _latest("berth_images_parked", "Image records that were refused too often: see the log.")
_brake = _latest("berth_images_brake", "1 if too many tags' records were missing at the last look.")
_unverified = _latest(
    "berth_oldest_unverified_seconds", "Since when the blob whose turn is next was not hashed."
)
_bad = _latest(
    "berth_bad_blobs", "Blobs whose bytes are others or lost: absent until they are pushed again."
)


def count_request(resource: str, method: str, status: int, seconds: float, sent: int) -> None:
    """One request was answered with *sent* bytes; *resource* and *method* are of few kinds."""
    _requests.labels(resource, method, status).inc()
    _request_seconds.labels(resource, method).observe(seconds)
    _sent.labels(resource).inc(sent)


def count_flush(seconds: float, lines: int) -> None:
    """*lines* were brought into the journal."""
    _flushes.observe(seconds)
    _lines.inc(lines)


def count_images(outcome: str, count: int) -> None:
    """*count* image records were sent, or refused, and so on."""
    _images.labels(outcome).inc(count)


def tell_lag(count: int, seconds: float, parked: int) -> None:
    """How far the image service is behind."""
    _waiting.set(count)
    _waiting_seconds.set(seconds)
    _parked.set(parked)


def tell_brake(*, on: bool) -> None:
    """Whether too many records were missing for any tag to go."""
    _brake.set(on)


def tell_verified(seconds: float, bad: int) -> None:
    """How long ago the oldest verification was, and how many blobs are bad."""
    _unverified.set(seconds)
    _bad.set(bad)


def exposition(*, ready: bool) -> bytes:
    """All figures as text; *ready* is whether store and ledger belong together just now."""
    _ready.set(ready)
    if os.environ.get(DIRECTORY_VARIABLE):
        everybody = CollectorRegistry()
        multiprocess.MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return generate_latest(everybody)
    return generate_latest(REGISTRY)
