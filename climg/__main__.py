"""The `climg` command."""

from outset.loading import loading


def main() -> None:
    """Run the command line."""
    with loading():
        from climg.running import run  # noqa: PLC0415 - half a second

    run()


if __name__ == "__main__":
    main()
