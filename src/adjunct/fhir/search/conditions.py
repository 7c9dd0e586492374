"""The name side of a search parameter: `code:in`, `subject:Patient.name`, `_has:Observation:patient:code`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from http import HTTPStatus as Status
from types import MappingProxyType
from typing import Literal, cast

from adjunct.base import shown
from adjunct.fhir import criteria as ask
from adjunct.fhir import definitions
from adjunct.fhir.definitions import Component, Parameter
from adjunct.fhir.indexing import identifier_index, text_index, type_index
from adjunct.fhir.outcome import Refusal
from adjunct.fhir.search import values
from adjunct.fhir.search.values import plain, refuse, split

Expand = Callable[[str], frozenset[tuple[str, str]] | None]

MOST_CONDITIONS = 200  # in one search, those of chains included
MOST_VALUES = 2_000  # in one search, the codes of value sets included
MOST_STEPS = 4  # of a chain

#: What R4 has and this server does not, with what to do instead.
REFUSED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("token", "above"): "the hierarchies of code systems are not known here: list the codes",
        ("token", "below"): "the hierarchies of code systems are not known here: list the codes",
        ("token", "not-in"): "ask for the codes that you want, with :in",
        ("reference", "above"): "hierarchies of resources are not followed: list the references",
        ("reference", "below"): "hierarchies of resources are not followed: list the references",
    }
)
MODIFIERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "token": ("not", "text", "in", "of-type", "missing"),
        "string": ("exact", "contains", "missing"),
        "uri": ("below", "above", "missing"),
        "reference": ("identifier", "[type]", "missing"),
        "date": ("missing",),
        "number": ("missing",),
        "quantity": ("missing",),
        "composite": (),
        "id": ("not",),
        "instant": (),
    }
)


class Unknown(Exception):
    """A parameter that is not known for these resources; the request's `handling` decides what that means."""


class Reading:
    """One search while it is read: what its values depend on, and how much it may still ask.

    `now` in ms since 1970; `base` is this server's address; `expand` knows value sets that R4 does not define.
    """

    def __init__(self, *, now: int, base: str = "", expand: Expand | None = None) -> None:
        self._now, self._base, self._expand = now, base, expand
        self._conditions, self._values = MOST_CONDITIONS, MOST_VALUES

    def conditions(
        self, types: tuple[str, ...], key: str, text: str, *, at: str = "", steps: int = MOST_STEPS
    ) -> list[ask.Condition]:
        """What one parameter asks of resources of all these types (empty: of every type). All of it must hold.

        `at` is the parameter as the client wrote it, where `key` is the rest of a chain.
        """
        at = at or key
        self._conditions -= 1
        if self._conditions < 0 or steps < 0:
            refuse(at, f"asks more than {MOST_CONDITIONS} conditions or {MOST_STEPS} steps at once", "too-costly")
        if key.startswith("_has:"):
            return [self._pointed_at(types, key, text, at, steps)]
        head, dot, rest = key.partition(".")
        name, _, modifier = head.partition(":")
        if name == "_id" and not dot:
            if modifier not in ("", "not"):
                raise _no_modifier(at, modifier, "id")
            return [ask.Ids(ids=tuple(plain(v) for v in self._listed(text, at)), negate=modifier == "not")]
        if name == "_lastUpdated" and not dot:
            if modifier:
                raise _no_modifier(at, modifier, "instant")
            return [ask.Updated(any_of=tuple(values.date(v, at, self._now) for v in self._listed(text, at)))]
        meant = known(types, name)
        if dot:
            found: list[ask.Condition] = [self._chain(p, modifier, rest, text, at, steps) for p in meant]
        else:
            found = [condition for p in meant for condition in self._asked_of_parts(p, modifier, text, at)]
        if len(found) == 1 or modifier == "not" or (modifier, text) == ("missing", "true"):
            return found  # what must be absent must be absent from every index
        return [ask.AnyOf(conditions=tuple(found))]

    # --- one parameter ------------------------------------------------------------------------------------------------

    def _asked_of_parts(self, parameter: Parameter, modifier: str, text: str, at: str) -> Iterator[ask.Condition]:
        """What is asked of a combined parameter is asked of each of its parts; its values count once."""
        left = self._values
        for part in parameter.parts or (parameter,):
            self._values = left
            yield self._asked(part, modifier, text, at)

    def _asked(self, parameter: Parameter, modifier: str, text: str, at: str) -> ask.Condition:
        if modifier == "missing" and parameter.type != "composite":
            return self._missing(parameter, text, at)
        if parameter.type == "composite":
            if modifier:
                raise _no_modifier(at, modifier, "composite")
            return ask.Together(any_of=tuple(self._parts(parameter, v, at) for v in self._listed(text, at)))
        index, kind = parameter.index, cast(ask.Kind, parameter.type)
        match (kind, modifier):
            case ("token", "text"):
                index, kind = text_index(index), "string"
            case ("token", "of-type"):
                index = type_index(index)
            case ("reference", "identifier"):
                index, kind = identifier_index(index), "token"
        listed = self._listed(text, at)
        if (parameter.type, modifier) == ("token", "in"):
            members = [member for url in listed for member in self._members(plain(url), at)]
            any_of: list[ask.Value] = [_as_indexed(parameter, ask.TokenIs(*member)) for member in members]
        else:
            any_of = [v for one in listed for v in self._values_of(parameter, modifier, one, at)]
        return ask.Match(index=index, kind=kind, any_of=tuple(any_of), negate=modifier == "not")

    def _values_of(self, parameter: Parameter, modifier: str, text: str, at: str) -> Sequence[ask.Value]:
        """One value. Refuses the modifiers that a parameter of this type has not."""
        match (parameter.type, modifier):
            case ("token", "" | "not"):
                return [_as_indexed(parameter, values.token(text, at))]
            case ("reference", "identifier"):
                return [values.token(text, at)]
            case ("token", "of-type"):
                return [values.typed_identifier(text, at)]
            case ("token", "text") | ("string", ""):
                return [values.words(text, at)]
            case ("string", "exact" | "contains"):
                return [values.words(text, at, modifier)]
            case ("uri", "" | "below" | "above"):
                return [values.uri(text, at, cast(Literal["below", "above"], modifier or "is"))]
            case ("date", ""):
                return [values.date(text, at, self._now)]
            case ("number", ""):
                return [values.number(text, at)]
            case ("quantity", ""):
                return [values.quantity(text, at)]
            case ("reference", _) if not modifier or modifier in definitions.resource_types():
                return values.reference(text, at, _led_to(parameter, modifier, at), self._base)
        raise _no_modifier(at, modifier, parameter.type)

    def _listed(self, text: str, at: str) -> list[str]:
        found = split(text, ",")
        if "" in found:
            refuse(at, "an empty value: write a value on both sides of each comma")
        self._spend(len(found), at)
        return found

    def _spend(self, count: int, at: str) -> None:
        self._values -= count
        if self._values < 0:
            refuse(at, f"more than {MOST_VALUES} values in one search: ask in parts", "too-costly")

    def _members(self, url: str, at: str) -> Sequence[tuple[str, str]]:
        """The codes of a value set."""
        codes = definitions.codes(url)
        if codes is None and self._expand is not None:
            codes = self._expand(url)
        if codes is None:
            refuse(at, "the codes of this value set are not known here: list them", "not-supported")
        self._spend(len(codes), at)
        return sorted(codes)

    def _missing(self, parameter: Parameter, text: str, at: str) -> ask.Condition:
        if text not in ("true", "false"):
            refuse(at, "neither true nor false")
        index, kind, missing = parameter.index, cast(ask.Kind, parameter.type), text == "true"
        if parameter.only:  # the index holds references to other types as well
            anyone = (ask.RefersTo(parameter.only, ""),)
            return ask.Match(index=index, kind=kind, any_of=anyone, negate=missing)
        return ask.Missing(index=index, kind=kind, missing=missing)

    def _parts(self, parameter: Parameter, text: str, at: str) -> tuple[ask.Match, ...]:
        parts = split(text, "$")
        if len(parts) != len(parameter.components) or "" in parts:
            named = "$".join(c.name for c in parameter.components)
            refuse(at, f"not a composite: write {named}")
        return tuple(self._part(parameter, c, v, at) for c, v in zip(parameter.components, parts, strict=True))

    def _part(self, parameter: Parameter, component: Component, text: str, at: str) -> ask.Match:
        whole = definitions.parameters(parameter.base)[component.name]
        any_of = tuple(self._values_of(whole, "", text, at))
        return ask.Match(index=component.index, kind=cast(ask.Kind, component.type), any_of=any_of)

    # --- through references -------------------------------------------------------------------------------------------

    def _chain(self, by: Parameter, modifier: str, rest: str, text: str, at: str, steps: int) -> ask.Chain:
        targets = _led_to(by, modifier, at)
        refuse_canonical(by, at)
        if not targets:
            refuse(at, f"may lead anywhere: say to which type, as in {by.name}:Patient.{shown(rest)[1:-1]}")
        found: list[tuple[str, tuple[ask.Condition, ...]]] = []
        problem: Exception = Unknown(f"no resource that {by.name!r} leads to knows what follows")
        for target in targets:
            try:
                found.append((target, tuple(self.conditions((target,), rest, text, at=at, steps=steps - 1))))
            except (Unknown, Refusal) as error:  # it may be known of another type, or another type may read the value
                if isinstance(error, Refusal) and error.issues[0].code == "too-costly":
                    raise
                problem = error if len(targets) == 1 or isinstance(error, Refusal) else problem
        if not found:
            raise problem
        return ask.Chain(index=by.index, targets=tuple(found), only=by.only)

    def _pointed_at(self, types: tuple[str, ...], key: str, text: str, at: str, steps: int) -> ask.PointedAt:
        _, source, name, rest, *_ = (*key.split(":", len(("_has", "type", "reference"))), "", "", "")
        if source not in definitions.resource_types() or not rest:
            refuse(at, "write _has:Type:reference:parameter, for example _has:Observation:patient:code")
        (by,) = known((source,), name)
        targets = _led_to(by, "", at)
        refuse_canonical(by, at)
        if (targets and not set(types) <= set(targets)) or (by.only and not types):
            refuse(at, f"{source}.{by.name} refers to {', '.join(targets)} only")
        where = tuple(self.conditions((source,), rest, text, at=at, steps=steps - 1))
        return ask.PointedAt(type=source, index=by.index, where=where)


def known(types: tuple[str, ...], name: str) -> list[Parameter]:
    """The parameter of this name of each of the types, those with the same rows once. Raises Unknown."""
    found: dict[tuple[int, str], Parameter] = {}
    for type_name in types or ("Resource",):
        parameter = definitions.parameters(type_name).get(name)
        if parameter is None:
            reason = definitions.unserved(type_name).get(name)
            of = type_name if types else "every type: name types in _type"
            raise Unknown(
                f"{shown(name)} is not served: {reason}" if reason else f"unknown parameter {shown(name)} for {of}"
            )
        found[parameter.index, parameter.only] = parameter
    return list(found.values())


@cache
def _implied(expression: str) -> frozenset[tuple[str, str]]:
    """The codes that elements of type `code` stand for: written without a system, which their binding gives."""
    found = [definitions.element_at(branch) for branch in expression.split("|")]
    if not all(element and element.types == ("code",) for element in found):
        return frozenset()
    return frozenset().union(*(definitions.codes(element.binding) or () for element in found if element))


def _as_indexed(parameter: Parameter, value: ask.TokenIs) -> ask.TokenIs:
    """A code as its rows have it: an element of type `code` has no system of its own."""
    system, code = value
    meant = system and any(s == system and code in (None, c) for s, c in _implied(parameter.expression))
    return ask.TokenIs("", code) if meant else value


@cache
def leads_on(by: Parameter) -> bool:
    """Whether this parameter's elements hold references to follow; a canonical or URI names no resource of a server."""
    found = [definitions.element_at(branch) for branch in by.expression.split("|")]
    return by.type == "reference" and any(element is None or "Reference" in element.types for element in found)


def refuse_canonical(by: Parameter, at: str) -> None:
    """Nothing goes on through canonical addresses: finding nothing there would look like an answer."""
    if not leads_on(by):
        refuse(at, f"{by.name}: canonical addresses are not followed: search by the address", "not-supported")


def _led_to(by: Parameter, modifier: str, at: str) -> tuple[str, ...]:
    """The types that a reference may lead to, narrowed by `:Type`; () if it may lead anywhere."""
    if by.type != "reference":
        refuse(at, f"{by.name} is no reference: only a reference leads on")
    if not modifier:
        return by.targets
    if modifier not in (by.targets or definitions.resource_types()):
        where = ", ".join(by.targets) if by.targets else "resource types of R4"
        refuse(at, f"{by.name} does not lead to {shown(modifier)}: it leads to {where}")
    return (modifier,)


def _no_modifier(at: str, modifier: str, kind: str) -> Refusal:
    allowed = MODIFIERS[kind]
    takes = f"takes {', '.join(f':{m}' for m in allowed)}" if allowed else "takes no modifier"
    reason = REFUSED.get((kind, modifier), takes)
    return Refusal(
        Status.BAD_REQUEST, "not-supported", f"the modifier {shown(modifier)} is not served for a {kind}: {reason}", at
    )
