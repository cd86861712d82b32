"""Who sees an image record of another project: asked of whatever shows the records."""
