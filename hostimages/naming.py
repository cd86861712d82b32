"""How registries are written in a configuration (pure); ValueError names the key."""

from hostimages.errors import ReferenceInvalid
from hostimages.reference import ImageReference


def hold_registry(prefix: str) -> None:
    """What goes before an image without a registry."""
    try:
        ImageReference.parse(f"{prefix}/image")
    except ReferenceInvalid:
        raise ValueError(
            "agent.registry must be a registry's host and port, perhaps with a path, as in "
            f"registry.example:5000/library (it is {prefix!r})"
        ) from None


def hold_plain_http(registries: tuple[str, ...]) -> None:
    """Registries by host and port, as references name them."""
    for each in registries:
        try:
            named = ImageReference.parse(f"{each}/image").registry == each
        except ReferenceInvalid:
            named = False
        if not named:
            raise ValueError(
                f"images.plain_http names {each!r}, and must name hosts and ports, as in "
                "registry.example:5000"
            )
