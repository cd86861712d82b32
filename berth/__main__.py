"""The `berth` command: dispatch only; each part is imported when it is asked for."""

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["agent"]:
        from hostagent.cli import app as agent  # noqa: PLC0415 - it needs none of the registry

        agent(args=sys.argv[2:], prog_name="berth agent")
        return
    from registry.cli import app  # noqa: PLC0415 - other commands need not load the registry

    app(prog_name="berth")


if __name__ == "__main__":
    main()
