"""Image records in a cloud's Glance."""

from registry.storage.glance.caller import GlanceCallerImages, open_caller_images
from registry.storage.glance.service import GlanceImageService, open_images

__all__ = [
    "GlanceCallerImages",
    "GlanceImageService",
    "open_caller_images",
    "open_images",
]
