"""Keystone v3: people, projects and roles of an OpenStack cloud."""
