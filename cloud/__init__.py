"""A real cloud on one machine: Keystone, Glance and Swift on the loopback, for work and for tests.

It needs nothing but Python's standard library; the services live in an environment of their own.
"""
