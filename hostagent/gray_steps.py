"""Steps that end a gray update: the new attempt is the container, or its generation has failed."""

from dataclasses import dataclass, replace

from hostagent.attempt_steps import label
from hostagent.host import Host
from hostagent.ports import Json
from hostagent.step import AttemptStep


@dataclass(frozen=True, slots=True)
class Promote(AttemptStep):
    """A gray update was good: the new attempt is the container now."""

    def act(self, host: Host, _: None) -> None:
        label(host, self.found(host), "current")

    def confirm(self, host: Host, _: None) -> None:
        row = self.container(host)
        host.store.put(
            replace(row, current=self.attempt, next=None, good=None, was_ready=True, crashes=0)
        )


@dataclass(frozen=True, slots=True)
class RollBack(AttemptStep):
    """A gray update failed: this generation of the container is never tried again."""

    generation: int
    """The one that was seen to fail: another may have come since."""
    reason: str

    def act(self, host: Host, _: None) -> Json:
        attempt = self.found(host)
        failed: Json = {
            "failed_generation": self.generation,
            "failed_reason": self.reason,
            "failed_digest": attempt.digest,
        }
        host.label(host.layout.failed(self.set, attempt.container), {"failed": failed})
        return failed

    def confirm(self, host: Host, result: Json) -> None:
        host.store.put(replace(self.container(host), crashes=0, **result))
