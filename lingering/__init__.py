"""Servers whose clients read every answer, also while they are sending (no registry, no agent)."""
