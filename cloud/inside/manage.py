"""Runs a service's own management commands one after the other, but imports its code only once.

MODULE, then each command as a JSON list of words. Importing takes most of such a command's time.
"""

import importlib
import json
import os
import sys


def main() -> int:
    """Run each command in a process forked for it; answer the status of the first that fails."""
    module = importlib.import_module(sys.argv[1])
    for text in sys.argv[2:]:
        child = os.fork()
        if child == 0:
            sys.argv = json.loads(text)
            sys.exit(module.main())
        _, status = os.waitpid(child, 0)
        if status:
            return os.waitstatus_to_exitcode(status)
    return 0


if __name__ == "__main__":
    sys.exit(main())
