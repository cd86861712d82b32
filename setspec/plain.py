"""What a JSON Schema finds wrong, in plain words: where, what, why, and what to do."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from jsonschema.exceptions import ValidationError

from setspec.faults import Fault, Path, sentence, shown

_TYPES: Final = {
    "object": "an object", "array": "a list", "string": "a string", "integer": "a whole number",
    "number": "a number", "boolean": "true or false",
}  # fmt: skip
_PARTS: Final = {"Length": "characters", "Items": "items", "Properties": "fields"}

Schema = Mapping[str, Any]


def told(error: ValidationError, base: Path) -> Iterator[Fault]:
    """*error* in plain words; one fault for each field that is missing or unknown.

    *base* is where the value that was checked stands in its document. A value whose schema says
    ``writeOnly`` may be a secret, and is not told.
    """
    path: Path = (*base, *error.absolute_path)
    steps = list(error.absolute_schema_path)
    keyword: Any = error.validator
    wanted: Any = error.validator_value
    value: Any = error.instance
    schema: Any = error.schema
    match keyword:
        case "not":
            yield Fault(path, "excluded", _excluded(steps), "", "Leave it out")
        case "required":
            for name in (name for name in wanted if name not in value):
                yield _missing((*path, name), keyword, "is missing", _said_of(schema, name))
        case "dependentRequired":
            yield from _dependent(path, wanted, value, schema)
        case "additionalProperties":
            known = schema.get("properties", {})
            for name in (name for name in value if name not in known):
                yield _unknown((*path, name), name, [*known])
        case _:
            if "propertyNames" in steps:
                path = (*path, value)
            what, fix = _broken(keyword, wanted, value, schema, str(error.cause))
            yield Fault(path, keyword, what, schema.get("description", ""), fix)


def _dependent(path: Path, wanted: Any, value: Any, schema: Schema) -> Iterator[Fault]:
    for name in (name for name in wanted if name in value):
        for other in (other for other in wanted[name] if other not in value):
            what = f'is missing, and "{name}" needs it'
            yield _missing((*path, other), "dependentRequired", what, _said_of(schema, name))


def _unknown(path: Path, name: str, known: list[str]) -> Fault:
    close = get_close_matches(name, known, 1)
    fix = f'Did you mean "{close[0]}"?' if close else f"Known are {', '.join(known)}"
    return Fault(path, "additionalProperties", "is not known here", "", fix if known else "")


def _missing(path: Path, rule: str, what: str, why: str) -> Fault:
    return Fault(path, rule, what, why, f'Add "{path[-1]}"')


def _broken(keyword: str, wanted: Any, value: Any, schema: Schema, cause: str) -> tuple[str, str]:
    """What is wrong with a value, and what to do about it."""
    it = "is not allowed" if schema.get("writeOnly") else f"is {shown(value)}"
    example = f"Write it like {shown(schema['examples'][0])}" if "examples" in schema else ""
    match keyword:
        case "type":
            kinds = " or ".join(_TYPES[each] for each in ([wanted] if _is_text(wanted) else wanted))
            return f"is {_kind(value)}, not {kinds}", example or f"Write {kinds}"
        case "const":
            return it, f"Write {shown(wanted)}"
        case "enum":
            return it, f"Write one of {', '.join(shown(each) for each in wanted)}"
        case "minimum":
            return it, f"Write at least {wanted}"
        case "exclusiveMinimum":
            return it, f"Write more than {wanted}"
        case "maximum":
            return it, f"Write at most {wanted}"
        case "minLength" | "minItems" | "minProperties":
            return f"has {len(value)} {_PARTS[keyword[3:]]}", f"At least {wanted} must be there"
        case "maxLength" | "maxItems" | "maxProperties":
            return f"has {len(value)} {_PARTS[keyword[3:]]}", f"At most {wanted} may be there"
        case "format":
            return it, sentence(cause)
        case _:  # pattern
            return it, example or "Write it as described"


def _said_of(schema: Schema, name: str) -> str:
    """What *schema* says of an object's field *name*."""
    field = schema.get("properties", {}).get(name)
    return str(field.get("description", "")) if isinstance(field, dict) else ""


def _excluded(steps: list[str | int]) -> str:
    if "dependentSchemas" in steps:
        other = steps[steps.index("dependentSchemas") + 1]
        return f'stands beside "{other}", and only one of the two can'
    return "cannot stand here"


def _kind(value: object) -> str:
    """The JSON type of *value*; true is an int to Python."""
    for kind, of_python in (
        ("boolean", bool),
        ("integer", int),
        ("number", float),
        ("string", str),
        ("object", dict),
        ("array", list),
    ):
        if isinstance(value, of_python):
            return _TYPES[kind]
    return "null"


def _is_text(value: object) -> bool:
    return isinstance(value, str)
