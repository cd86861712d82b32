"""Image records: served, projected and rebuilt."""
