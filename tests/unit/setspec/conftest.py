"""Machines that run the tests are busy: no example fails for having been slow."""

from hypothesis import settings

settings.register_profile("busy", deadline=None)
settings.load_profile("busy")
