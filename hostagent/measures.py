"""What an agent counts, and what it has to complain of, for its TCP port."""

import time
from collections import Counter
from typing import Any

from hostagent.host import Host
from hostagent.records import Attempt, ContainerRow, SetRow, Trouble
from hosthealth.agent import Counts


def complaint(host: Host) -> str | None:
    """What is wrong with the agent itself; None where nothing is."""
    try:
        host.store.put_meta("looked", host.boot)
    except Exception as error:  # noqa: BLE001 - whatever it is, an operator must hear of it
        return f"the store cannot be written: {error}"
    return None


def count(host: Host, images: Any) -> Counts:
    """Everything that is counted; *images* has ``report``."""
    rows = host.store.rows
    sets, attempts, cache = rows(SetRow), rows(Attempt), images.report()
    return Counts(
        levels=Counter("deleted" if row.tombstone is not None else row.level for row in sets),
        states=Counter(str(each.state) for each in attempts),
        containers_alive=sum(host.watch.is_alive(each.id) for each in attempts),
        crashing=sum(row.crashes > 0 for row in rows(ContainerRow)),
        troubles=len(rows(Trouble)),
        cache_bytes=cache.bytes,
        cache_inodes=cache.inodes,
        cache_layers=len(cache.layers),
        cache_hits_total=cache.hits,
        fetched_layers_total=cache.fetched_layers,
        fetched_bytes_total=cache.fetched_bytes,
        layers_coming=len(cache.coming),
        cpu_seconds_total=time.process_time(),
    )
