"""One step into a JSON value: the elements that a type has, their keys, and primitives with what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, NamedTuple

from adjunct.fhir.definitions import elements, primitive_types, resource_types
from adjunct.fhir.path.values import Extended, Typed

OPEN_TYPES = frozenset(("Resource", "DomainResource"))  # what a value really is, its resourceType tells


class Key(NamedTuple):
    """A JSON key and the FHIR type of what stands there. `primitive`: `_key` may hold its id and extensions."""

    key: str
    type: str
    primitive: bool


@cache
def keys(type_name: str, name: str) -> tuple[Key, ...]:
    """The keys at which an element may stand, one for each type; () if the type has no such element.

    >>> [key.key for key in keys("Observation", "effective")]
    ['effectiveDateTime', 'effectivePeriod', 'effectiveTiming', 'effectiveInstant']
    """
    if type_name in primitive_types() and name in ("id", "extension"):
        return tuple(Key(*k) for k in keys("Element", name))
    element = elements(type_name).get(name)
    if element is None:
        return ()
    return tuple(Key(key, type_, type_ in primitive_types()) for key, type_ in element.keys)


@cache
def by_key(type_name: str, name: str = "") -> Mapping[str, Key]:
    """The keys of one element, or of every element; a primitive's `_key` leads to it as well."""
    found = {}
    for each in (name,) if name else elements(type_name):
        for key in keys(type_name, each):
            found[key.key] = key
            if key.primitive:
                found[f"_{key.key}"] = key
    return MappingProxyType(found)


def take(value: Any, key: str) -> list[Any]:
    """The values at a key; what is not an object has none."""
    found = value.get(key) if value.__class__ is dict else None
    if found is None:
        return []
    return found if found.__class__ is list else [found]


def take_primitive(value: Any, key: str, under: str) -> list[Any]:
    """The primitives at a key, each with its id and extensions if it has any."""
    if value.__class__ is not dict:
        return []
    found = value.get(key)
    if under not in value:
        return [] if found is None else found if found.__class__ is list else [found]
    extra = value[under]
    if found.__class__ is not list and extra.__class__ is not list:
        return [Extended(found, extra)]
    pairs = zip_longest(_listed(found), _listed(extra))
    return [v if not e else Extended(v, e) for v, e in pairs if v is not None or e]


def _listed(value: Any) -> list[Any]:
    return value if value.__class__ is list else [] if value is None else [value]


def actual(type_name: str, value: Any) -> Typed:
    """A value with its type, a resource with what it says it is."""
    if type_name in OPEN_TYPES and value.__class__ is dict:
        said = value.get("resourceType")
        return Typed(said if said.__class__ is str and said in resource_types() else type_name, value)
    return Typed(type_name, value)


def member(typed: Typed, name: str) -> list[Typed]:
    """The values of an element, by the type that the value has."""
    return among(typed.value, by_key(typed.type, name))


def children(typed: Typed) -> list[Typed]:
    """Every value directly below."""
    return among(typed.value, by_key("Element" if typed.value.__class__ is Extended else typed.type))


def descendants(typed: Typed) -> list[Typed]:
    """Every value below, level by level."""
    found = level = children(typed)
    while level:
        level = [below for above in level for below in children(above)]
        found = found + level
    return found


def among(value: Any, wanted: Mapping[str, Key]) -> list[Typed]:
    """The values at those of an object's keys that are wanted."""
    if value.__class__ is Extended:
        value = value.extra
    if value.__class__ is not dict:
        return []
    found = []
    for written in value:
        if key := wanted.get(written):
            if key.primitive and (written == key.key or key.key not in value):
                found += [Typed(key.type, v) for v in take_primitive(value, key.key, f"_{key.key}")]
            elif not key.primitive:
                found += [actual(key.type, v) for v in take(value, key.key)]
    return found
