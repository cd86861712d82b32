"""A host's local disk: writable layers and volumes that hold their limits, and their pools."""
