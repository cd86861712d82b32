"""Whole stories of a life: whatever comes by chance, an update that goes back, a lost store."""

import json
from dataclasses import replace
from pathlib import Path

from setspec.desired import Level
from support.hostlives import Life
from support.hostmodel import ModelAgent, model
from support.hostworld import GOOD, Rows


def live(home: Path, seed: int, events: int = 25) -> None:
    """A life: whatever may come; then a good document, at any level; then its end."""
    with model(home, seed) as world:
        life = Life(world, seed)
        for _ in range(events):
            life.happen()
        life.take(life.drawn(life.desired, "12"))
        life.take(replace(life.desired, level=life.draw(*Level, Level.RUNNING, Level.RUNNING)))
        try:
            life.converge()
            for spoil in (life.crash, life.lose_monitor, life.lose_link, life.fail, life.crash):
                spoil()
            life.converge()  # also with no word from anybody
            for _ in range(life.draw(0, 0, 6)):
                life.happen()
            life.leave(purge=life.draw(True, False))
        except AssertionError as error:
            error.add_note(f"seed {seed}: {life.told}")
            raise


def other_images(life: Life, *last: str) -> dict[str, str]:
    """Have containers be of other images, and one of *last*; answer what each is to be of."""
    first = life.desired
    images = {
        each.container: life.draw(each.reference[-1], *GOOD) for each in first.allocation.images
    }
    images[life.draw(*images)] = life.draw(*last)
    spec = replace(first.spec, containers=tuple(
        replace(each, image=f"shop:{images[each.name]}") for each in first.spec.containers
    ))  # fmt: skip
    placed_images = tuple(
        replace(each, reference=f"shop:{images[each.container]}")
        for each in first.allocation.images
    )
    life.take(replace(
        first, generation=2, spec=spec, fingerprint="another",
        allocation=replace(first.allocation, images=placed_images),
    ))  # fmt: skip
    return images


def run_on(life: Life, images: dict[str, str]) -> None:
    """In the end every container runs, of the image that it should be of, if that is good."""
    life.quiet()
    seen = life.seen
    assert seen is not None
    for name, image in images.items():
        current = seen.current(name)
        assert current is not None, name
        assert seen.runs(current), name
        assert current.digest[7] in GOOD, (name, image)
    assert not [each for each in seen.operations if each.ended is None]


def go_back(home: Path, seed: int) -> None:
    """A gray update that cannot be, whatever is asked meanwhile, ends with what ran before."""
    with model(home, seed) as world:
        world.answers = 1.0
        life = Life(world, seed)
        life.converge()
        images = other_images(life, "b", "c", "e")
        for _ in range(12):
            what = life.draw(
                life.settle, life.pass_time, life.die, life.fail, life.restart, life.crash
            )
            life.told.append(what.__name__)
            what()
        try:
            run_on(life, images)
        except AssertionError as error:
            error.add_note(f"seed {seed}: {images} {life.told}")
            raise


def lose_store(home: Path, seed: int) -> None:
    """An agent that lost its rows in a gray update ends it as it would have, by the labels."""
    with model(home, seed) as world:
        world.answers = 1.0
        life = Life(world, seed)
        life.converge()
        seen = life.seen
        assert seen is not None
        disks = {
            name: seen.attempts[row.current or ""].disk for name, row in seen.containers.items()
        }
        images = other_images(life, "1", "2", "b", "b", "c", "e")
        for _ in range(life.draw(1, 2, 4, 8)):
            life.draw(life.die, life.die, life.pass_time)()
        labels = life.agent.host.layout.sets.glob("*/containers/*/*/label.json")
        told = [json.loads(label.read_text()) for label in labels]
        kept = {each["attempt"]["disk"] for each in told}
        life.told += [f"{each['attempt']['container']} {each['role']}" for each in told]
        world.rows, world.been = Rows(), {}
        life.agent = ModelAgent(world)
        try:
            run_on(life, images)
            seen = life.seen
            assert seen is not None
            for name, image in images.items():
                current = seen.current(name)
                assert current is not None
                if image not in GOOD and disks[name] in kept:
                    assert current.disk == disks[name], f"{name} has lost what was written"
        except AssertionError as error:
            error.add_note(f"seed {seed}: {images} {life.told}")
            raise
