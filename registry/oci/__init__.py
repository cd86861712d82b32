"""The words of the OCI specs: parsed once, at the door; no I/O, no framework."""
