"""``python -m unpacker``: an order as JSON in the one argument, a layer on stdin.

Ends with 0 and one line of JSON on stdout: ``done``, ``refused`` or ``full``.
"""

import errno
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from unpacker import sandbox
from unpacker.apply import Applier, Limits
from unpacker.inflate import Blocks
from unpacker.refusal import Refused
from unpacker.survey import survey
from unpacker.tarstream import Tar

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})


def main() -> None:
    """Carry out the order; whatever happens is told in one line."""
    order = json.loads(sys.argv[1])
    sandbox.enter(os.fsencode(order["directory"]), order["seconds"])
    answer = json.dumps(carry_out(order)).encode()
    while answer:
        answer = answer[os.write(1, answer) :]


def carry_out(order: dict[str, Any]) -> dict[str, object]:
    """Unpack, or only hash, what comes on stdin; or look at what is there."""
    if order["survey"]:
        return {"done": asdict(survey())}
    blocks = Blocks(sys.stdin.buffer, order["algorithm"])
    blocks.start()
    limits = Limits(order["bytes"], order["entries"], order["depth"])
    try:
        if order["hash_only"]:
            while blocks.take():
                pass
            return {"done": {"encoded": blocks.hexdigest()}}
        written = Applier(limits).apply(Tar(blocks.take))
        told = {
            "encoded": blocks.hexdigest(),
            "entries": written.entries,
            "opaque": [os.fsdecode(each) for each in written.opaque],
        }
        return {"done": told | asdict(survey())}
    except Refused as refused:
        return {"refused": str(refused)}
    except (MemoryError, RecursionError):
        return {"refused": "it takes more memory to unpack than any layer should"}
    except OSError as error:
        kind = "full" if error.errno in _FULL else "refused"
        return {kind: f"it cannot be written: {error.strerror}"}


if __name__ == "__main__":
    main()
