"""The OCI runtime-spec's config.json, made of an image's config and a set document (pure)."""
