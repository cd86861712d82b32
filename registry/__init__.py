"""An OCI registry made of Keystone, Glance and Swift, or of one directory."""
