"""``python -m hostagent``: the same as ``berth agent``."""

from hostagent.cli import app

if __name__ == "__main__":
    app(prog_name="berth agent")
