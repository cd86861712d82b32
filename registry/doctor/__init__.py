"""Looks at all that a registry stands on, and says what to mend. It leaves nothing behind."""
