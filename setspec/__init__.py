"""Set documents, desired state, status: read, checked, brought into one form; pure."""
