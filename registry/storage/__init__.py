"""Bytes, lines, names and image records: the ports, and their adapters side by side."""
