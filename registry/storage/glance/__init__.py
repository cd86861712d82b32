"""Image records in a cloud's Glance."""

from registry.storage.glance.service import GlanceImageService, open_images

__all__ = ["GlanceImageService", "open_images"]
