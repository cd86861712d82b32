"""Mark: reads the ledger, answers a Plan, changes nothing."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from registry.gc.policy import Rules
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.ports.collection import Collection, StaleUpload, Totals, Untagged

PAGE = 5000
"""Rows that are looked at in one transaction."""


@dataclass(slots=True)
class Plan:
    """What a run would take, and out of how much. A hint only: each is looked at again."""

    links: dict[RepositoryName, list[Digest]] = field(default_factory=dict)
    """Rights to blobs that nothing in the repository names."""
    link_count: int = 0
    link_bytes: int = 0
    """Of their blobs; one that another repository needs stays, so this is the most that goes."""
    unlinked: list[Digest] = field(default_factory=list)
    """Blobs that no repository is linked to."""
    unlinked_bytes: int = 0
    untagged: list[Untagged] = field(default_factory=list)
    uploads: list[StaleUpload] = field(default_factory=list)
    trash: Totals = field(default_factory=lambda: Totals(0, 0))
    """Entries whose term is over, and bytes of their manifests."""
    totals: Totals = field(default_factory=lambda: Totals(0, 0))

    @property
    def doomed(self) -> Totals:
        """The most that goes."""
        blobs = self.link_count + len(self.unlinked)
        return Totals(blobs, self.link_bytes + self.unlinked_bytes)


async def make(
    collection: Collection,
    rules: Rules,
    now: float,
    *,
    repository: RepositoryName | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Plan:
    """What is garbage at *now*, of *repository* only if given; *progress* gets rows found."""
    plan = Plan(totals=await collection.totals())
    links: defaultdict[RepositoryName, list[Digest]] = defaultdict(list)
    after: tuple[int, str] | None = None
    trash_since = now - rules.trash  # a sweep forgets what is older before it looks again
    plan.trash = await collection.old_trash(trash_since)
    while page := await collection.unneeded_links(
        now - rules.grace, trash_since=trash_since, after=after, limit=PAGE
    ):
        for each in page:
            if repository in {None, each.repository}:
                links[each.repository].append(each.digest)
                plan.link_count += 1
                plan.link_bytes += each.size
        after = page[-1].key
        progress(plan.link_count)
    plan.links = dict(links)
    if repository is None:
        found = await collection.unlinked_blobs(now - rules.grace, limit=10 * PAGE)
        plan.unlinked = [each.digest for each in found]
        plan.unlinked_bytes = sum(each.size for each in found)
        plan.uploads = await collection.stale_uploads(now - rules.uploads, limit=PAGE)
    if rules.untagged is not None:
        after = None
        while fresh := await collection.untagged(
            now - rules.untagged, trash_since=trash_since, after=after, limit=PAGE
        ):
            plan.untagged += [each for each in fresh if repository in {None, each.repository}]
            after = fresh[-1].key
    return plan
