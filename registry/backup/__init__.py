"""Copies of an embedded store, made while it is used, and stores made of them again."""
