"""The registry's own API: what the distribution-spec has no words for (``/registry/v1``)."""
