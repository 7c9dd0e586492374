"""Less of a resource than is stored: `_summary` and `_elements`, marked as SUBSETTED."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

from adjunct.fhir.definitions import Element, by_key, elements, resource_types
from adjunct.fhir.search.cursor import Pairs
from adjunct.fhir.search.values import refuse, split
from adjunct.fhir.wire import Json, read_exact, write_exact

Summary = Literal["false", "true", "text", "data", "count"]

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules", "modifierExtension"})  # they change the meaning


def apply_summary(document: Json, type_name: str, summary: Summary, wanted: Iterable[str] = ()) -> Json:
    """What is left of a resource; elements that R4 requires stay in every part of it.

    >>> apply_summary({"resourceType": "Basic", "id": "a", "code": {}, "author": {}}, "Basic", "false", ("created",))
    {'resourceType': 'Basic', 'id': 'a', 'code': {}, 'meta': {'tag': [{'system': \
'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', 'code': 'SUBSETTED'}]}}
    """
    known = by_key(type_name)
    names = frozenset(wanted)
    if summary == "true":
        kept = _in_summary(document, type_name)
    elif summary == "data":
        kept = {key: value for key, value in document.items() if key != "text"}
    elif summary == "text":
        kept = _only(document, known, frozenset({"text"}))
    else:
        kept = document
    if names:
        kept = _only(kept, known, names)
    meta = {**kept.get("meta", {})}
    meta["tag"] = [tag for tag in meta.get("tag", []) if tag != SUBSETTED] + [SUBSETTED]
    return {**kept, "meta": meta}


def _only(document: Json, known: Mapping[str, tuple[Element, str]], names: frozenset[str]) -> Json:
    def wanted(key: str) -> bool:
        found = known.get(key)
        return found is not None and (found[0].required or found[0].name in names or key in names)

    return {key: value for key, value in document.items() if key in _ALWAYS or wanted(key.removeprefix("_"))}


def _in_summary(value: Json, type_name: str) -> Json:
    known = by_key(type_name)
    kept: Json = {}
    for key, child in value.items():
        found = known.get(key.removeprefix("_"))
        if key in _ALWAYS:
            kept[key] = child
        elif found and (found[0].summary or found[0].required):
            kept[key] = child if key.startswith("_") else _child(child, found[1])
    return kept


def _child(value: Any, type_name: str) -> Any:
    if isinstance(value, list):
        return [_child(one, type_name) for one in value]
    if not isinstance(value, dict):
        return value
    inside = value.get("resourceType") if type_name == "Resource" else type_name
    return _in_summary(value, inside) if inside and elements(inside) else value


def shorten(content: bytes, summary: Summary, wanted: tuple[str, ...]) -> bytes:
    """What is left of a stored resource; itself if all of it is wanted."""
    if summary == "false" and not wanted:
        return content
    document = cast(Json, read_exact(content))
    return write_exact(apply_summary(document, document["resourceType"], summary, wanted))


# --- as the client asks for it ----------------------------------------------------------------------------------------


def summary_of(text: str) -> Summary:
    """The value of `_summary`."""
    if text not in ("false", "true", "text", "data", "count"):
        refuse("_summary", "write true, text, data, count or false")
    return cast(Summary, text)


def elements_of(text: str, types: Iterable[str]) -> tuple[str, ...]:
    """The value of `_elements`: names of elements at the top of a resource of one of the types (none: of any type).

    `value` asks for an element whatever type it has, `valueQuantity` for a Quantity.
    """
    of = types or resource_types()
    known = {name for type_name in of for name in (*elements(type_name), *by_key(type_name))} | {"resourceType"}
    wanted = split(text, ",")
    if unknown := [name for name in wanted if name not in known]:
        place = ", ".join(types) or "any resource"
        refuse("_elements", f"element {unknown.index(unknown[0]) + 1} of the list is none of {place}: name elements")
    return tuple(wanted)


def shortened(content: bytes, type_name: str, query: Pairs) -> bytes:
    """A single resource as `_summary` and `_elements` ask for it; other parameters are not for the store."""
    asked = dict(query)
    if "_summary" not in asked and "_elements" not in asked:
        return content
    summary = summary_of(asked.get("_summary", "false"))
    if summary == "count":
        refuse("_summary", "one resource cannot be counted: ask a search")
    wanted = elements_of(asked["_elements"], (type_name,)) if "_elements" in asked else ()
    return shorten(content, summary, wanted)
