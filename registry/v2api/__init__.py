"""HTTP, and nothing but HTTP: one module per resource of the distribution-spec."""
