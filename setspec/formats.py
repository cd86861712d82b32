"""The schemas' own formats; each tells by ValueError why a string is not of it."""

import base64
import ipaddress
import re
from collections.abc import Callable
from functools import cache

from jsonschema import FormatChecker

from setspec.moment import parse_moment
from setspec.units import FORMATS

_LENGTH = re.compile("[0-9]{1,3}")


@cache
def format_checker() -> FormatChecker:
    """What jsonschema holds the schemas' ``format`` by."""
    checker = FormatChecker(formats=())
    rules: dict[str, Callable[[str], object]] = {
        **{name: measure.read for name, measure in FORMATS.items()},
        "address": _address,
        "base64": _base64,
        "interface": _interface,
        "moment": parse_moment,
        "subnet": _subnet,
    }
    for name, rule in rules.items():
        checker.checks(name, raises=ValueError)(_for_strings(rule))
    return checker


def _for_strings(rule: Callable[[str], object]) -> Callable[[object], bool]:
    def holds(value: object) -> bool:
        if isinstance(value, str):
            rule(value)
        return True

    return holds


def _address(text: str) -> None:
    address = ipaddress.ip_address(text)
    if address.is_multicast or address.is_loopback or address.is_unspecified or "%" in text:
        raise ValueError("must be the address of one machine in a network")


def _interface(text: str) -> None:
    address, _, length = text.partition("/")
    _address(address)
    if not _LENGTH.fullmatch(length):
        raise ValueError("must have the length of its network, as in 10.20.0.5/24")
    ipaddress.ip_interface(text)


def _subnet(text: str) -> None:
    if not _LENGTH.fullmatch(text.partition("/")[2]):
        raise ValueError("must have its length, as in 10.30.0.0/16")
    ipaddress.ip_network(text)


def _base64(text: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("must be base64 with its padding and without line breaks") from None
