"""What a shim would say of a set's place on its host, where there is no shim (pure)."""
