"""Images on a host: pulled layer by layer, verified, unpacked once, kept for whoever needs them."""
