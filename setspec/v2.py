"""Set document v2, the talk's, said as v3."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from setspec.faults import Fault, Path, sentence, shown
from setspec.loose import members, objects, text
from setspec.strict import JsonObject
from setspec.units import CPU, DISK, MEM, Measure, Units

_OPTIONS: Final = ("name", "command", "cpu", "mem")


@dataclass(frozen=True, slots=True)
class Converted:
    """A v2 document said as v3, and what is wrong with its bare numbers."""

    document: JsonObject
    faults: tuple[Fault, ...]
    volumes: tuple[Path, ...]
    """Where each volume of the v3 document stands in the v2 document."""

    def origin(self, path: Path) -> Path:
        """Where that stands in the v2 document which is at *path* in the v3 document."""
        match path:
            case ("containers", int(place), "mounts", *rest):
                return ("containers", place, "options", "volumes", *_volume_field(rest))
            case ("containers", int(place), str(name), *rest) if name in _OPTIONS:
                return ("containers", place, "options", name, *rest)
            case ("volumes", int(place), str(name)):
                return (*self.volumes[place], "path" if name == "name" else name)
            case _:
                return path


def convert(document: JsonObject, units: Units) -> Converted:
    """*document*, a v2 document of any form, said as v3 as far as it can be.

    A volume is named by its container and its path, which are what it is known by in v2.
    """
    conversion = _Conversion(units)
    said: JsonObject = {"version": "v3"}
    said |= _some(document, "id", "appkey")
    said["containers"] = [
        conversion.container(each, ("containers", place, "options"))
        for place, each in objects(document, "containers")
    ]
    if conversion.volumes:
        said["volumes"] = [*conversion.volumes.values()]
    return Converted(said, tuple(conversion.faults), tuple(conversion.places))


class _Conversion:
    def __init__(self, units: Units) -> None:
        self.faults: list[Fault] = []
        self.volumes: dict[str, JsonObject] = {}
        self.places: list[Path] = []
        self._units = units

    def container(self, container: JsonObject, path: Path) -> JsonObject:
        """*container*, whose options stand at *path*."""
        options = members(container, "options")
        said = _some(container, "index", "image") | _some(options, "name", "command")
        said |= self._measured(options, "cpu", CPU, self._units.spell_cpu, path)
        said |= self._measured(options, "mem", MEM, self._units.spell_mem, path)
        owner = text(options, "name") or ""
        mounts = [
            self._mount(each, owner, (*path, "volumes", place))
            for place, each in objects(options, "volumes")
        ]
        return {**said, "mounts": mounts} if mounts else said

    def _mount(self, volume: JsonObject, owner: str, path: Path) -> JsonObject:
        measured = self._measured(volume, "quota", DISK, self._units.spell_quota, path)
        where = text(volume, "path")
        if where is None:
            return {}
        name = owner + where
        if name not in self.volumes:
            self.volumes[name] = {"name": name, **measured}
            self.places.append(path)
        return {"path": where, "volume": name}

    def _measured(
        self,
        holder: JsonObject,
        name: str,
        measure: Measure,
        spell: Callable[[float], str],
        path: Path,
    ) -> dict[str, Any]:
        """The member *name* as a string with its unit."""
        value = holder.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return {name: value} if name in holder else {}
        try:
            spelled = spell(value)
            measure.read(spelled)
        except ValueError as error:
            what, fix = f"is {shown(value)}", sentence(str(error))
            self.faults.append(Fault((*path, name), "unit", what, "", fix))
            return {}
        return {name: spelled}


def _some(value: JsonObject, *names: str) -> JsonObject:
    return {name: value[name] for name in names if name in value}


def _volume_field(rest: list[Any]) -> list[Any]:
    """A mount names its volume by what v2 calls the volume's path."""
    return [rest[0], "path", *rest[2:]] if rest[1:2] == ["volume"] else rest
