"""The host agent: sets of containers on one host, from a desired state to running processes."""
