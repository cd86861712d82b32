"""What befalls a ledger while people work: it is rebuilt, killed, lost, or put back to before."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from support.faultledgers import ServerLedger
from support.faultworld import World

IN_A_FILE: Mapping[str, float] = {"rebuild": 3, "lose": 2}
ON_A_SERVER: Mapping[str, float] = {"kill": 4, "put-back": 2, "lose": 2, "rebuild": 1}
NONE = 0.5
"""The share of schedules in which nothing befalls it."""


def some_events(chance: random.Random, *, served: bool) -> tuple[str, ...]:
    """What is to happen, in its order."""
    among = ON_A_SERVER if served else IN_A_FILE
    if chance.random() < NONE:
        return ()
    return tuple(chance.choices(list(among), list(among.values()), k=chance.choice([1, 1, 2])))


async def befall(
    here: World, events: Sequence[str], chance: random.Random, met: Counter[str],
    over: asyncio.Event,
) -> None:  # fmt: skip
    """Let them happen, one after the other; the last may come when the others' day is over."""
    for event in events:
        await _pause(over, chance.uniform(0.3, 2.0))
        ledger = here.scene.ledger
        if event == "rebuild":
            await here.rebuild()
        elif event == "lose":
            await here.lose()
        elif isinstance(ledger, ServerLedger):
            if event == "kill":
                await ledger.kill(chance.uniform(0.0, 1.0))
            else:
                await ledger.save()
                await _pause(over, chance.uniform(0.5, 3.0))
                await here.put_back()
        met[event] += 1


async def _pause(over: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(over.wait(), seconds)
    except TimeoutError:
        return
