"""The `berth` command: dispatch only; each part is imported when it is asked for."""


def main() -> None:
    """Run the command line."""
    from registry.cli import app  # noqa: PLC0415 - other commands need not load the registry

    app(prog_name="berth")


if __name__ == "__main__":
    main()
