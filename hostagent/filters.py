"""Seccomp filters that crun has compiled, given to it again for every further container.

Compiling the usual profile for an x86's three ABIs is half of the work of making a container. crun
leaves what it has compiled beside a container's state, and takes it instead of the profile.
"""

import base64
import json
from pathlib import Path
from typing import Final

from hostagent.ports import Json

_ANNOTATION: Final = "run.oci.seccomp_bpf_data"
"""crun(1). Another runtime does not know it, leaves no filter, and so is never told it."""
_COMPILED: Final = "seccomp.bpf"


class Filters:
    """In memory alone: every agent has the first container of a profile compile it anew."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def annotations(self, profile: Json | None) -> dict[str, str]:
        """What is said to a runtime beside *profile*, which stays the truth where it is not."""
        known = None if profile is None else self._known.get(_spelled(profile))
        return {} if known is None else {_ANNOTATION: known}

    def learn(self, config: Json, state: Path) -> None:
        """Keep what was compiled for the container of *config*, whose first process waits yet."""
        compiled = state / _COMPILED
        if _ANNOTATION in config.get("annotations", {}) or not compiled.exists():
            return
        profile = config["linux"].get("seccomp")
        if profile is not None:
            self._known[_spelled(profile)] = base64.b64encode(compiled.read_bytes()).decode()


def _spelled(profile: Json) -> str:
    return json.dumps(profile, sort_keys=True)
