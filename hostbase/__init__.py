"""What the host agent stands on, knowing nothing of it: processes, namespaces, a database."""
