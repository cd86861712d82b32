"""How commands begin, before the half second in which they load (knows nobody)."""
