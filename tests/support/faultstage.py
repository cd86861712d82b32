"""Where schedules are played: a cloud, a database server, and for each a project of its own."""

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from support.directory import Person, Place, directory_of
from support.faultledgers import Cluster, FileLedger, ServerLedger, started_cluster
from support.glance import Json, Looker
from support.ledgers import Template
from support.openstack import OpenStack
from support.swift import new_prefix

ATTEMPTS = 3


@dataclass(frozen=True)
class Scene:
    """What one schedule has for itself."""

    cloud: OpenStack
    directory: Path
    prefix: str
    """Of its containers in Swift."""
    place: Place
    """Its project."""
    alice: Person
    """A member and manager of it."""
    token: str
    """Hers at Glance."""
    far: "Far"
    template: Template
    ledger: FileLedger | ServerLedger
    kept: list[Json]
    """Images that are none of the registry's: nobody changes them."""


@dataclass(frozen=True)
class Far:
    """Another project, whose member bob is."""

    place: Place
    token: str
    """bob's."""


@dataclass
class Stage:
    """One cloud for one schedule after the other."""

    cloud: OpenStack
    template: Template
    far: Far
    stack: contextlib.ExitStack
    prefix: str = field(default_factory=new_prefix)
    _played: int = 0
    _cluster: Cluster | None = None

    @contextlib.asynccontextmanager
    async def scene(self, *, served: bool) -> AsyncIterator[Scene]:
        """A project with an image that looks like one of Berth's, and an empty ledger.

        *served*: by PostgreSQL; else the ledger is a file. What lies in Swift and Glance stays: the
        cloud is thrown away in the end.
        """
        self._played += 1
        with tempfile.TemporaryDirectory(prefix="berth-faults-") as name:
            directory = Path(name)
            with directory_of(self.cloud) as people:
                place = people.project()
                alice = people.member(place)
                people.grant(alice, "manager", place)  # who sees an image is a manager's to say
                token, mine = _make_image(self.cloud, partial(people.token, alice, place))
            _, theirs = _make_image(self.cloud, lambda: self.far.token)
            if not served:
                path = directory / "ledger.db"
                await self.template.copy(path)
                ledger: FileLedger | ServerLedger = FileLedger(self.template, path)
            else:
                if self._cluster is None:
                    self._cluster = self.stack.enter_context(started_cluster())
                ledger = await self._cluster.ledger()
            prefix = f"{self.prefix}-{self._played}"
            try:
                yield Scene(
                    self.cloud,
                    directory,
                    prefix,
                    place,
                    alice,
                    token,
                    self.far,
                    self.template,
                    ledger,
                    [mine, theirs],
                )
            finally:
                if isinstance(ledger, ServerLedger):
                    await ledger.drop()


def _make_image(cloud: OpenStack, sign_in: Callable[[], str]) -> tuple[str, Json]:
    """Whose token it is, and the image; a Glance under load may refuse a token that is young."""
    why = ""
    for _ in range(ATTEMPTS):
        token = sign_in()
        with contextlib.closing(Looker(cloud, token=token)) as somebody:
            made = somebody.make(name="red:latest", parent_id="nobody", note="a machine's disk")
        if made.is_success:
            document: Json = made.json()
            return token, document
        why = made.text
        time.sleep(1)
    raise AssertionError(why)


@contextlib.contextmanager
def staged(cloud: OpenStack) -> Iterator[Stage]:
    """Yield a stage in *cloud*."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="berth-faults-")))
        with directory_of(cloud) as people:
            place = people.project()
            far = Far(place, people.token(people.member(place), place))
        yield Stage(cloud, Template(directory), far, stack)
