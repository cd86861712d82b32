"""Configurations: one TOML file, and variables over it, into frozen dataclasses, and back."""
