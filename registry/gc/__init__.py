"""Garbage, collected while pushes go on: planned, explained, swept (DESIGN: garbage)."""
