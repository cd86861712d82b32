"""ImageService in dicts: the model that a real Glance is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from registry.storage.images import PARENT
from registry.storage.ports.images import Absent, Image, Taken


class MemoryImageService:
    """Images by id; an id is used up for ever."""

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self.shared: dict[str, dict[str, str]] = {}
        self.used: set[str] = set()

    async def create(self, image: Image) -> None:
        if image.id in self.used:
            raise Taken(image.id)
        self.used.add(image.id)
        self.images[image.id] = image
        self.shared[image.id] = {}

    async def find(self, image: str) -> Image:
        if image not in self.images:
            raise Absent(image)
        return self.images[image]

    async def find_listed(self, images: Sequence[str]) -> list[Image]:
        return [self.images[each] for each in images if each in self.images]

    async def change(self, before: Image, after: Image) -> None:
        present = await self.find(after.id)
        kept = {
            name: value
            for name, value in present.properties.items()
            if name != PARENT and not name.startswith("oci_")
        }
        self.images[after.id] = replace(after, properties={**kept, **after.properties})
        del before

    async def delete(self, image: str) -> None:
        self.images.pop(image, None)
        self.shared.pop(image, None)

    async def members(self, image: str) -> Mapping[str, str]:
        found = await self.find(image)
        return dict(self.shared[image]) if found.visibility == "shared" else {}

    async def add_member(self, image: str, project: str, status: str) -> None:
        await self.find(image)
        self.shared[image].setdefault(project, status)

    async def set_member(self, image: str, project: str, status: str) -> None:
        await self.find(image)
        if project not in self.shared[image]:
            raise Absent(project)
        self.shared[image][project] = status

    async def remove_member(self, image: str, project: str) -> None:
        await self.find(image)
        self.shared[image].pop(project, None)
