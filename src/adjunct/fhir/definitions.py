"""What FHIR R4 defines, read from the extracts in `r4/`: elements, search parameters, compartments, codes, invariants.

The extracts are written by `tools/r4_definitions.py` and read on first use; nothing here is written by hand but the
list of search parameters that are not served.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple
from zlib import crc32

import orjson

from adjunct.fhir.outcome import Severity
from adjunct.fhir.wire import Json

UCUM = "http://unitsofmeasure.org"

#: Search parameters of R4 that are not served, with the reason that a client is given.
NOT_SERVED: Mapping[str, str] = MappingProxyType(
    {
        "_content": "the text of resources is not indexed",
        "_filter": "write the conditions as parameters",
        "_query": "there are no named queries",
        "_text": "the narrative of resources is not indexed",
        "near": "positions are not indexed",
        "phonetic": "names are not compared by sound: ask for 'name'",
        "composition": "the resources inside a Bundle are not indexed",
        "message": "the resources inside a Bundle are not indexed",
    }
)


class Element(NamedTuple):
    """One element of a type. A backbone element's type is its own path ("Observation.component")."""

    name: str
    types: tuple[str, ...]
    many: bool
    required: bool
    choice: bool  # the JSON key is the name and the type with a capital: "valueQuantity"
    binding: str  # the value set that its codes must come from; "" if they need not come from one
    targets: tuple[str, ...]  # the resource types that a Reference or canonical may point to; () any
    children: str  # the path of a backbone element, the same element elsewhere included; otherwise ""
    summary: bool
    simple: bool  # its Quantity is a SimpleQuantity: an amount, not a bound ("< 5 mg")

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """The JSON keys at which it may stand, each with the type of the value there."""
        return tuple((f"{self.name}{t[0].upper()}{t[1:]}" if self.choice else self.name, t) for t in self.types)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One part of a composite. `rooted`: its rows are those of the parameter of this name; otherwise its own."""

    name: str
    type: str
    said: str  # from the composite's context
    expression: str  # the same, or for a rooted one from the resource
    index: int
    rooted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A search parameter of one resource type.

    `index` names its rows: parameters with the same expression have the same one. `only`: of the references there,
    those to this type. `expression` of a composite is its context. `parts`: the parameters whose rows together are its
    own (`combo-code` finds what `code` or `component-code` find); it has none besides.
    """

    name: str
    type: str
    base: str
    expression: str
    targets: tuple[str, ...]
    components: tuple[Component, ...]
    url: str
    index: int
    only: str
    parts: tuple[Parameter, ...] = ()


class Invariant(NamedTuple):
    """A rule that R4 states as FHIRPath. `severity`: error or warning."""

    key: str
    severity: Severity
    human: str
    expression: str


@cache
def _extract(name: str) -> Json:
    content: Json = orjson.loads((resources.files("adjunct.fhir") / "r4" / f"{name}.json").read_bytes())
    del content[""]  # where it comes from
    return content


# --- types and elements -----------------------------------------------------------------------------------------------


@cache
def _types() -> tuple[Mapping[str, Json], Mapping[str, Mapping[str, Json]]]:
    """What is said of each type (backbone elements included), and of each type its own elements."""
    types: dict[str, Json] = {}
    own: dict[str, dict[str, Json]] = {}
    for path, about in _extract("elements").items():
        if "kind" in about:
            types[path] = about
            continue
        parent, _, name = path.rpartition(".")
        own.setdefault(parent, {})[name] = about
    for parent in own:
        if "." in parent:
            outer, _, name = parent.rpartition(".")
            types[parent] = {"kind": "backbone", "base": own[outer][name]["types"][0]}
    return types, own


@cache
def elements(type_name: str) -> Mapping[str, Element]:
    """The elements of a resource type, data type or backbone path, inherited ones first. Primitives have none.

    >>> elements("Observation.component")["value"].types[:2]
    ('Quantity', 'CodeableConcept')
    >>> elements("Questionnaire.item")["item"].children
    'Questionnaire.item'
    """
    types, own = _types()
    about = types.get(type_name)
    if about is None or about["kind"] == "primitive-type":
        return MappingProxyType({})
    found = dict(elements(about["base"])) if "base" in about else {}
    for name, said in own.get(type_name, {}).items():
        bare = name.removesuffix("[x]")
        path = f"{type_name}.{name}"
        children = said.get("same") or (path if path in own else "")
        found[bare] = Element(
            name=bare,
            types=(children,) if children else tuple(said["types"]),
            many=said.get("many", False),
            required=said.get("required", False),
            choice=bare != name,
            binding=said.get("binding", ""),
            targets=tuple(said.get("targets", ())),
            children=children,
            summary=said.get("summary", False),
            simple=said.get("simple", False),
        )
    return MappingProxyType(found)


@cache
def by_key(type_name: str) -> Mapping[str, tuple[Element, str]]:
    """The elements of a type by their JSON keys, each with the type of the value there.

    >>> by_key("Observation")["valueQuantity"][1]
    'Quantity'
    """
    return MappingProxyType({key: (e, type_) for e in elements(type_name).values() for key, type_ in e.keys})


@cache
def resource_types() -> frozenset[str]:
    """The types of resources that there are; Resource and DomainResource are none."""
    types, _ = _types()
    return frozenset(name for name, about in types.items() if about["kind"] == "resource" and "abstract" not in about)


@cache
def primitive_types() -> frozenset[str]:
    """The types whose values are single JSON values: string, code, dateTime ..."""
    types, _ = _types()
    return frozenset(name for name, about in types.items() if about["kind"] == "primitive-type")


@cache
def paths() -> tuple[str, ...]:
    """Every type, every backbone element, and every other element for which R4 states a rule."""
    return tuple(sorted({*_types()[0], *_extract("invariants")}))


@cache
def is_subtype(type_name: str, base: str) -> bool:
    """Is a value of this type also one of `base`?

    >>> is_subtype("Age", "Quantity"), is_subtype("code", "string"), is_subtype("Patient", "Patient")
    (True, True, True)
    """
    types, _ = _types()
    while type_name != base:
        above = types.get(type_name, {}).get("base")
        if above is None:
            return False
        type_name = above
    return True


# --- search -----------------------------------------------------------------------------------------------------------

_RESOLVED = re.compile(r"\.where\(resolve\(\) is (\w+)\)")
_CALL = re.compile(r"\.(?!ofType)\w+\([^()]*\)|\[\d+\]|[()]")
_TYPED = re.compile(r"\.ofType\((\w+)\)")


def index_of(base: str, type_: str, expression: str) -> int:
    """The number under which the rows of an expression stand; it stays the same as long as the expression does."""
    return crc32(f"{base}|{type_}|{expression}".encode())


@cache
def parameters(type_name: str) -> Mapping[str, Parameter]:
    """The search parameters that resources of a type can be asked for, those of every resource included.

    >>> patient = parameters("Observation")["patient"]
    >>> patient.only, patient.targets, patient.index == parameters("Observation")["subject"].index
    ('Patient', ('Patient',), True)
    """
    types, _ = _types()
    found: dict[str, Parameter] = {}
    if "base" in types.get(type_name, {}):
        found.update(parameters(types[type_name]["base"]))
    said_of = {n: said for n, said in _extract("parameters").get(type_name, {}).items() if n not in NOT_SERVED}
    for name, said in said_of.items():
        resolved = set(_RESOLVED.findall(said["expression"]))
        only = resolved.pop() if len(resolved) == 1 else ""
        expression = _RESOLVED.sub("", said["expression"]) if only else said["expression"]
        targets = (only,) if only else _targets(expression)
        found[name] = Parameter(
            name=name,
            type=said["type"],
            base=type_name,
            expression=expression,
            targets=targets if said["type"] == "reference" else (),
            components=_components(type_name, said, said_of),
            url=said["url"],
            index=index_of(type_name, said["type"], expression),
            only=only,
        )
    own = [found[name] for name in said_of if not found[name].targets]
    found |= {p.name: replace(p, parts=parts) for p in own if (parts := _parts(p, own))}
    return MappingProxyType(found)


def _parts(whole: Parameter, siblings: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """The widest of the siblings that find a part of what `whole` finds, if together they find it all."""

    def branches(parameter: Parameter) -> frozenset[str]:
        return frozenset(parameter.expression.split(" | "))

    def shape(parameter: Parameter) -> tuple[object, ...]:
        return parameter.type, *((c.type, c.said) for c in parameter.components)

    within = [p for p in siblings if branches(p) < branches(whole) and shape(p) == shape(whole)]
    widest = {branches(p): p for p in within if not any(branches(p) < branches(other) for other in within)}
    return tuple(widest.values()) if frozenset().union(*widest) == branches(whole) else ()


def unserved(type_name: str) -> Mapping[str, str]:
    """The search parameters of R4 for a type that are not served, each with the reason."""
    found = dict(unserved(_types()[0][type_name]["base"])) if "base" in _types()[0].get(type_name, {}) else {}
    names = _extract("parameters").get(type_name, {})
    return found | {name: reason for name, reason in NOT_SERVED.items() if name in names}


def _targets(expression: str) -> tuple[str, ...]:
    """What the references of an expression may point to: what its elements allow; () any."""
    allowed: set[str] = set()
    for branch in expression.split("|"):
        element = element_at(branch)
        if element is None or not element.targets:
            return ()
        allowed.update(element.targets)
    return tuple(sorted(allowed))


def element_at(path: str) -> Element | None:
    """The element at the end of a plain path; None if it leads to no element.

    >>> element_at("Encounter.participant.individual.where(resolve() is Practitioner)").name
    'individual'
    """
    here, *names = _CALL.sub("", _TYPED.sub("", _RESOLVED.sub("", path))).strip().split(".")
    element = None
    for name in names:
        element = elements(here).get(name)
        if element is None:
            return None
        here = element.types[0]
    return element


def _components(base: str, said: Json, siblings: Mapping[str, Json]) -> tuple[Component, ...]:
    found = []
    for name, expression in said.get("components", ()):
        type_ = siblings[name]["type"]
        if said["expression"] == base:  # the parts of one resource: the rows of the parameters themselves serve
            whole = siblings[name]["expression"]
            found.append(
                Component(
                    name=name,
                    type=type_,
                    said=expression,
                    expression=whole,
                    index=index_of(base, type_, whole),
                    rooted=True,
                )
            )
        else:
            own = index_of(base, type_, f"{said['expression']} : {expression}")
            found.append(
                Component(name=name, type=type_, said=expression, expression=expression, index=own, rooted=False)
            )
    return tuple(found)


@cache
def compartment(of: str) -> Mapping[str, tuple[Parameter, ...]]:
    """Each type of resource that may be in a compartment (Patient, Encounter, Device ...), with what puts it there."""
    members = _extract("compartments").get(of, {})
    return {
        type_name: tuple(parameters(type_name)[name] for name in names if name in parameters(type_name))
        for type_name, names in members.items()
    }


@cache
def patient_compartment() -> Mapping[str, tuple[int, ...]]:
    """The reference indexes through which a resource of each type belongs to a patient."""
    return {
        type_name: tuple(sorted({parameter.index for parameter in found}))
        for type_name, found in compartment("Patient").items()
    }


# --- codes and rules --------------------------------------------------------------------------------------------------


@cache
def codes(valueset_url: str) -> frozenset[tuple[str, str]] | None:
    """The codes of a value set of R4, as (system, code); None if it cannot be enumerated here."""
    members = _extract("codes").get(valueset_url.partition("|")[0])
    if members is None:
        return None
    return frozenset((system, code) for system, some in members.items() for code in some)


@cache
def invariants(path: str) -> tuple[Invariant, ...]:
    """The rules for values at a path, or for values of a type with those of its bases."""
    types, _ = _types()
    own = tuple(Invariant(*rule) for rule in _extract("invariants").get(path, ()))
    base = types.get(path, {}).get("base")
    return (*invariants(base), *own) if base else own
