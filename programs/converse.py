"""Speaking with a program over pipes, however much it says."""

import os
import selectors
import subprocess
import time
from typing import Final

_PIECE: Final = 1 << 16


def converse(
    child: subprocess.Popen[bytes], given: bytes, seconds: float, most: int
) -> tuple[bytes, bool]:
    """Give a program *given*, and take what it says until its end; the last *most* bytes of it.

    Also whether there was more, which is not kept meanwhile either. Raises
    subprocess.TimeoutExpired, and leaves the program to the caller then.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    end = time.monotonic() + seconds
    said, rest, has_more = bytearray(), memoryview(given), False
    os.set_blocking(child.stdin.fileno(), False)
    with selectors.PollSelector() as waiting:
        waiting.register(child.stdout, selectors.EVENT_READ)
        waiting.register(child.stdin, selectors.EVENT_WRITE)
        while child.stdout in waiting.get_map():
            left = end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(child.args, seconds)
            for key, _ in waiting.select(left):
                if key.fileobj is child.stdin:
                    rest = rest[_written(child.stdin.fileno(), rest) :]
                    if not rest:
                        waiting.unregister(child.stdin)
                        child.stdin.close()
                    continue
                piece = os.read(child.stdout.fileno(), _PIECE)
                if not piece:
                    waiting.unregister(child.stdout)
                said += piece
                if len(said) > 2 * most:
                    del said[:-most]
                    has_more = True
    for stream in (child.stdin, child.stdout):
        stream.close()
    child.wait(max(end - time.monotonic(), 0.1))
    return bytes(said[-most:]), has_more or len(said) > most


def _written(handle: int, rest: memoryview) -> int:
    try:
        return os.write(handle, rest[:_PIECE])
    except BlockingIOError:
        return 0
    except BrokenPipeError:  # it does not want to hear more
        return len(rest)
