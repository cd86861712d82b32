"""What can go wrong on local disk; each says what, why, and what to do."""


class VolumeFailed(Exception):
    """A directory, volume or mount that cannot be made, changed or removed now."""


class NoRoom(VolumeFailed):
    """A pool has less left than is asked for."""


class CannotHold(VolumeFailed):
    """What a driver, or this kernel, does not do: which, and what does."""


class VolumeUnknown(VolumeFailed):
    """There is no such volume on this host."""
