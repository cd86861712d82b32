"""Programs of the system, called so that none of them holds up its caller (no host agent)."""
