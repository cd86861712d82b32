"""Logging in to a container: what sshd is told, and what it is brought along (no host agent)."""
