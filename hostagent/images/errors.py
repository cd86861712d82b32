"""What can go wrong with an image: what it was, why, and what to do; never with a secret in it."""

from typing import ClassVar

from hostagent.errors import StepFailed


class ImageError(StepFailed):
    """An image cannot be had; its text is for people."""

    reason: ClassVar[str] = "image_failed"
    """One word for status documents."""

    passing: ClassVar[bool] = False
    """Whether the same call may succeed later without anybody mending anything."""


class ReferenceInvalid(ImageError):
    """The reference names no repository of a registry."""

    reason = "reference_invalid"


class ImageUnknown(ImageError):
    """The registry has no such manifest or blob, or does not show it to this credential."""

    reason = "image_unknown"


class PullDenied(ImageError):
    """The registry refused the credential; pulls go on where they were once there is a new one."""

    reason = "pull_denied"


class RegistryUnavailable(ImageError):
    """The registry did not answer, broke off, or asked to come again later."""

    reason = "registry_unavailable"
    passing = True


class PullTooSlow(RegistryUnavailable):
    """Bytes came more slowly than the least rate, or not all before the deadline."""

    reason = "pull_too_slow"


class PullCancelled(ImageError):
    """Nobody waits for this any more; what came is kept."""

    reason = "pull_cancelled"
    passing = True


class ContentCorrupt(ImageError):
    """Bytes are not those that their digest names; they were thrown away."""

    reason = "content_corrupt"


class ImageInvalid(ImageError):
    """The manifest or the config cannot be used here."""

    reason = "image_invalid"


class LayerRefused(ImageError):
    """A layer holds what no layer may hold, or more than the limits allow; nothing of it stays."""

    reason = "layer_refused"


class CacheUnusable(ImageError):
    """The host cannot keep the layer: no space, no inodes, or a failing disk."""

    reason = "cache_unusable"
    passing = True
