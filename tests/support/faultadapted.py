"""The registry with less patience than it has, so that what takes minutes takes a second."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from registry import receive, tending, wiring
from registry.auth.keystone.client import Keystone
from registry.catalogue import projector
from registry.gc import collect
from registry.storage import cloud, work
from registry.storage.glance import caller
from registry.storage.glance.client import GlanceClient
from registry.storage.ledger import outbox, sightings
from registry.storage.swift import (
    SwiftAccount,
    SwiftJournal,
    account,
    assembly,
    blobs,
    large,
    layouts,
    plan,
    segments,
)

KIB = 1024
PATIENCE = 2.5
"""Seconds for which the registry waits for a service that says nothing."""
LEASE = 0.5
"""Seconds until an upload can be taken over."""
ABSENCE = 2.5
"""Seconds between two looks that must both find an image missing."""


@contextlib.contextmanager
def adapted(*, small: bool) -> Iterator[pytest.MonkeyPatch]:
    """The registry waits less; *small*: kilobytes go the ways that megabytes go."""
    with pytest.MonkeyPatch.context() as patch:
        for built, named in (
            (SwiftAccount, {"seconds": PATIENCE}),
            (SwiftJournal, {"founding_pause": 0.05}),
            (Keystone, {"timeout": PATIENCE}),
            (GlanceClient, {"timeout": PATIENCE}),
        ):
            for name, value in named.items():
                defaults: Any = built.__init__.__kwdefaults__
                patch.setitem(defaults, name, value)
        patch.setattr(cloud, "TIMEOUT", PATIENCE)
        patch.setattr(caller, "TIMEOUT", PATIENCE)
        patch.setattr(account, "PAUSES", (0.0, 0.05, 0.1))
        patch.setattr(account, "EXPECT", 0.5)
        patch.setattr(receive, "LEASE", LEASE)
        patch.setattr(collect, "LEASE", 2 * PATIENCE)
        patch.setattr(wiring, "log_as_json", lambda: None)
        _hurry_images(patch)
        if small:
            _shrink(patch)
        yield patch


def _hurry_images(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(projector, "PAUSE", 0.3)
    patch.setattr(projector, "LONGEST", 1.0)
    patch.setattr(projector, "LEASE", 4 * PATIENCE)
    patch.setattr(tending, "AGAIN", 0.3)
    patch.setattr(outbox, "LONGEST_PAUSE", 0.5)
    patch.setattr(outbox, "SECOND_LOOK", 0.6)
    patch.setattr(sightings, "ABSENCE", ABSENCE)


def _shrink(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(work, "PIECE", 2 * KIB)
    patch.setattr(receive, "RECORD_EVERY", 16 * KIB)
    patch.setattr(plan, "PLAIN", 8 * KIB)
    patch.setattr(plan, "SMALL", KIB)
    patch.setattr(plan, "SMALL_ALLOWED", 2)
    patch.setattr(plan, "MERGED", 16 * KIB)
    for module in (segments, blobs, assembly):
        patch.setattr(module, "HELD", 2 * KIB)
    patch.setattr(blobs, "LARGEST", 64 * KIB)
    patch.setattr(blobs, "SEGMENTS", (16 * KIB, 64 * KIB))
    for module in (layouts, blobs):
        patch.setattr(module, "SPLIT", 16 * KIB)
    patch.setattr(layouts, "STEP", KIB)
    patch.setattr(large, "MOST", 3)
