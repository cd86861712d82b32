"""What can go wrong with an image: what it was, why, and what to do; never with a secret in it."""

from typing import ClassVar


class ImageError(Exception):
    """An image cannot be had; its text is for people."""

    passing: ClassVar[bool] = False
    """Whether the same call may succeed later without anybody mending anything."""


class ReferenceInvalid(ImageError):
    """The reference names no repository of a registry."""


class ImageUnknown(ImageError):
    """The registry has no such manifest or blob, or does not show it to this credential."""


class PullDenied(ImageError):
    """The registry refused the credential; pulls go on where they were once there is a new one."""


class RegistryUnavailable(ImageError):
    """The registry did not answer, broke off, or asked to come again later."""

    passing = True


class PullTooSlow(RegistryUnavailable):
    """Bytes came more slowly than the least rate, or not all before the deadline."""


class PullCancelled(ImageError):
    """Nobody waits for this any more; what came is kept."""

    passing = True


class ContentCorrupt(ImageError):
    """Bytes are not those that their digest names; they were thrown away."""


class ImageInvalid(ImageError):
    """The manifest or the config cannot be used here."""


class LayerRefused(ImageError):
    """A layer holds what no layer may hold, or more than the limits allow; nothing of it stays."""


class CacheUnusable(ImageError):
    """The host cannot keep the layer: no space, no inodes, or a failing disk."""

    passing = True
