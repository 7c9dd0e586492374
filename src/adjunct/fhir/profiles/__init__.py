"""Profiles: what a StructureDefinition asks beyond R4, from its snapshot or, where there is none, its differential.

Read are cardinality, fixed values and patterns, narrowed types and targets, required bindings, invariants, and slices
by value, pattern, existence or type. A profile that asks more is refused when it is read, never half checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from adjunct.base import BadInput
from adjunct.fhir import definitions
from adjunct.fhir.outcome import Issue, Severity
from adjunct.fhir.path import Path, PathError, compile_path
from adjunct.fhir.wire import Json, listed, mapped

_R4 = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM_TYPE = "http://hl7.org/fhirpath/System."
_NOT_READ = ("maxLength", "minValue", "maxValue")
_NO_VALUE = object()

Codes = frozenset[tuple[str, str]]  # system and code
ValueSets = Callable[[str], Codes | None]  # of a value set's URL; None: its codes cannot be listed


class _Slicing(NamedTuple):
    by: tuple[tuple[str, tuple[str, ...]], ...]  # the discriminator's type, and its path
    closed: bool


class _Invariant(NamedTuple):
    key: str
    human: str
    severity: Severity
    holds: Mapping[str, Path]  # of a choice by its type, as in _Value; otherwise under ""


@dataclass(slots=True)
class _Rule:
    """What one element must be; `children` by name, `slices` by name of the slice."""

    least: int = 0
    most: int | None = None
    fixed: Any = _NO_VALUE
    pattern: Any = _NO_VALUE
    types: tuple[str, ...] = ()
    targets: frozenset[str] = frozenset()
    profiles: tuple[str, ...] = ()
    codes: Codes | None = None
    invariants: tuple[_Invariant, ...] = ()
    slicing: _Slicing | None = None
    children: dict[str, _Rule] = field(default_factory=dict)
    slices: dict[str, _Rule] = field(default_factory=dict)


class _Value(NamedTuple):
    value: Any
    type: str  # of a choice: as its key says it, "Quantity"; otherwise empty
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile, ready to be checked. `base` is the profile it builds on."""

    url: str
    name: str
    type: str
    base: str
    root: _Rule = field(repr=False)

    @classmethod
    def of(cls, definition: Json, codes: ValueSets = definitions.codes) -> Profile:
        """Read a StructureDefinition. Raises BadInput for what is not supported."""
        whole = "snapshot" in definition
        found = mapped(definition.get("snapshot" if whole else "differential")).get("element")
        kind = str(definition["type"])
        root = _Rule()
        for element in listed(found):
            rule = root
            for name, slice_ in _steps(element["id"]):
                rule = rule.children.setdefault(name, _Rule())
                rule = rule.slices.setdefault(slice_, _Rule()) if slice_ else rule
            _read(rule, element, codes)
        return cls(
            url=definition["url"],
            name=definition["name"],
            type=kind,
            base="" if whole else str(definition.get("baseDefinition", "")),
            root=root,
        )


@cache
def known() -> Mapping[str, Profile]:
    """Our own profiles, by their URL; the value sets beside them are theirs."""
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    read = [orjson.loads(file.read_bytes()) for file in files if file.name.endswith(".json")]
    own = {each["url"]: _codes(each) for each in read if each["resourceType"] == "ValueSet"}

    def codes(url: str) -> Codes | None:
        return own[url] if url in own else definitions.codes(url)

    profiles = (Profile.of(each, codes) for each in read if each["resourceType"] == "StructureDefinition")
    return MappingProxyType({profile.url: profile for profile in profiles})


def check(
    document: Json, claims: Iterable[object], asked: Sequence[str] = (), among: Mapping[str, Profile] | None = None
) -> list[Issue]:
    """What deviates from the profiles that the resource claims, and from those `asked` for, which must be known."""
    among = known() if among is None else among
    kind = str(document["resourceType"])
    issues: list[Issue] = []
    urls: dict[str, None] = {}
    for i, claim in enumerate(claims):
        urls[url := str(claim).partition("|")[0]] = None
        if url not in among and url != _R4 + kind:
            said = "this profile is not known here: the resource was not checked against it"
            issues.append(Issue("information", "not-supported", said, f"{kind}.meta.profile[{i}]"))
    for claim in asked:
        urls[url := claim.partition("|")[0]] = None
        if url not in among and url != _R4 + kind:
            issues.append(Issue("error", "not-supported", "a profile was asked for that is not known here", kind))
    for url in urls:
        while profile := among.get(url):
            if profile.type != kind:
                issues.append(Issue("error", "value", f"{profile.name}: is a profile of {profile.type}", kind))
                break
            issues += _Check(profile, among, document).value(profile.root, _Value(document, "", kind))
            url = profile.base
    return list(dict.fromkeys(issues))


# --- reading a StructureDefinition ------------------------------------------------------------------------------------


def _steps(id_: str) -> Iterator[tuple[str, str]]:
    """Names and slices on the way to an element.

    >>> [*_steps("Observation.component:systolic.value[x]")]
    [('component', 'systolic'), ('value[x]', '')]
    """
    for step in id_.split(".")[1:]:
        name, _, slice_ = step.partition(":")
        yield name, slice_


def _read(rule: _Rule, element: Json, codes: ValueSets) -> None:
    """Take in what an ElementDefinition asks."""
    at = element["id"]
    if any(name in key for key in element for name in _NOT_READ):
        raise BadInput("a restriction of length or size is not supported: write it as an invariant", at)
    rule.least = element.get("min", rule.least)
    most = element.get("max", "*")
    rule.most = None if most == "*" else int(most)
    for key, value in element.items():
        if key.startswith("fixed"):
            rule.fixed = value
        elif key.startswith("pattern"):
            rule.pattern = value
    types = [t for t in listed(element.get("type")) if not t["code"].startswith(_SYSTEM_TYPE)]
    rule.types = tuple(t["code"] for t in types)
    targets = [_target(url) for t in types for url in t.get("targetProfile", ())]
    rule.targets = frozenset(filter(None, targets)) if all(targets) else frozenset()
    rule.profiles = tuple(url for t in types for url in t.get("profile", ()))
    if "Extension" in rule.types and rule.profiles and ":" in at:
        rule.pattern = {"url": rule.profiles[0]}
    binding = mapped(element.get("binding"))
    if binding.get("strength") == "required":
        rule.codes = codes(str(binding.get("valueSet", "")))
    rule.invariants = tuple(_invariants(element))
    if slicing := element.get("slicing"):
        by = tuple((d["type"], _path(d["path"], at)) for d in slicing.get("discriminator", ()))
        if unread := {kind for kind, _ in by} - {"value", "pattern", "exists", "type"}:
            raise BadInput(f"slicing by {unread.pop()} is not supported: slice by value, pattern or type", at)
        rule.slicing = _Slicing(by, slicing.get("rules") == "closed")


def _path(text: str, at: str) -> tuple[str, ...]:
    if "(" in text:
        raise BadInput(f"a discriminator with a function ({text}) is not supported: name an element", at)
    return tuple(step for step in text.split(".") if step != "$this")


def _target(url: str) -> str:
    """The resource type that a target profile of R4 stands for; empty if only the profile knows."""
    name = url.removeprefix(_R4)
    return name if name in definitions.resource_types() else ""


def _invariants(element: Json) -> Iterator[_Invariant]:
    """Those of the profile itself: what R4 asks anyway is checked anyway."""
    path, types = element["path"], [t["code"] for t in listed(element.get("type"))]
    base = {rule.key for name in (path, *types) for rule in definitions.invariants(name)}
    starts = {"": path if definitions.elements(path) else types[0] if len(types) == 1 else ""}
    if path.endswith("[x]"):
        starts |= {_capital(type_): type_ for type_ in types}
    for rule in listed(element.get("constraint")):
        if rule["key"] in base or not rule.get("expression"):
            continue
        try:
            holds = {type_: compile_path(rule["expression"], start) for type_, start in starts.items()}
        except PathError as error:
            raise BadInput(f"invariant {rule['key']} cannot be asked: {error}", element["id"]) from None
        yield _Invariant(rule["key"], rule["human"], rule["severity"], holds)


def _capital(type_: str) -> str:
    """A type as the key of a choice names it."""
    return type_[0].upper() + type_[1:]


def _codes(value_set: Json) -> Codes:
    include = value_set["compose"]["include"]
    return frozenset((part["system"], concept["code"]) for part in include for concept in part["concept"])


# --- checking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Check:
    profile: Profile
    among: Mapping[str, Profile]
    document: Json

    def issue(self, code: str, said: str, at: str, severity: Severity = "error") -> Issue:
        return Issue(severity, code, f"{self.profile.name}: {said}", at)

    def value(self, rule: _Rule, given: _Value) -> Iterator[Issue]:
        """What one value, and what is in it, lacks."""
        value, type_, at = given
        if rule.fixed is not _NO_VALUE and value != rule.fixed:
            yield self.issue("value", "not the fixed value", at)
        if rule.pattern is not _NO_VALUE and not contains(value, rule.pattern):
            yield self.issue("value", "does not match the pattern", at)
        if type_ and rule.types and type_ not in map(_capital, rule.types):
            yield self.issue("structure", f"may only be {' or '.join(rule.types)}", at)
            return
        if rule.targets and (target := _refers_to(value)) and target not in rule.targets:
            yield self.issue("value", f"may refer only to {', '.join(sorted(rule.targets))}", at)
        if rule.codes is not None and not _coded(value, rule.codes):
            yield self.issue("code-invalid", "not a code that may stand here", at)
        for key, human, severity, holds in rule.invariants:
            try:
                truth = holds[type_ if type_ in holds else ""].holds(value, self.document)
            except PathError:
                truth = None
            if truth is None:
                yield self.issue("invariant", f"{key}: the values do not decide it", at, "warning")
            elif not truth:
                yield self.issue("invariant", f"{key}: {human}", at, severity)
        for url in rule.profiles:
            if (inner := self.among.get(url)) and inner is not self.profile:
                yield from _Check(inner, self.among, self.document).value(inner.root, given)
        for name, child in rule.children.items():
            yield from self.element(name, child, value, at)

    def element(self, name: str, rule: _Rule, parent: object, at: str) -> Iterator[Issue]:
        """Every value of one element of an object, and how many there are."""
        values = _values(parent, name, at)
        yield from self.count(rule, len(values), f"{at}.{name.removesuffix('[x]')}")
        for given in values:
            yield from self.value(rule, given)
        if not rule.slices:
            return
        of = {id(given): self.slice_of(rule, given) for given in values}
        for slice_, own in rule.slices.items():
            inside = [given for given in values if of[id(given)] == slice_]
            yield from self.count(own, len(inside), f"{at}.{name.removesuffix('[x]')}", f" of slice {slice_}")
            for given in inside:
                yield from self.value(own, given)
        if rule.slicing and rule.slicing.closed:
            for given in values:
                if not of[id(given)]:
                    yield self.issue("structure", "belongs to none of the slices that may stand here", given.at)

    def count(self, rule: _Rule, there: int, at: str, what: str = "") -> Iterator[Issue]:
        if there < rule.least:
            yield self.issue("required", f"needs at least {rule.least}{what}", at)
        elif rule.most is not None and there > rule.most:
            yield self.issue("structure", f"may have at most {rule.most}{what}", at)

    def slice_of(self, rule: _Rule, given: _Value) -> str:
        """The first slice to which a value belongs; empty if to none."""
        by = rule.slicing.by if rule.slicing else ()
        return next((name for name, own in rule.slices.items() if _belongs(own, by, given)), "")


def _belongs(rule: _Rule, by: Sequence[tuple[str, tuple[str, ...]]], given: _Value) -> bool:
    if given.type and (not by or any(how == "type" for how, _ in by)):
        return given.type in map(_capital, rule.types)
    for how, path in by:
        if how == "exists":
            own, there = rule, [given.value]
            for step in path:
                own = own.children.get(step, _Rule())
                there = [v.value for value in there for v in _values(value, step, "")]
            if bool(there) != (own.least > 0):
                return False
        elif not _along(rule, path, given.value):
            return False
    return True


def _along(rule: _Rule, path: Sequence[str], value: object) -> bool:
    """Whether what the slice fixes on the way of a discriminator, and below its end, is so in the value."""
    if rule.fixed is not _NO_VALUE and value != rule.fixed:
        return False
    if rule.pattern is not _NO_VALUE and not contains(value, rule.pattern):
        return False
    if rule.codes is not None and not path and not _coded(value, rule.codes):
        return False
    wanted = {path[0]: path[1:]} if path else dict.fromkeys(rule.children, ())
    return all(
        any(_along(one, rest, given.value) for given in _values(value, name, ""))
        for name, rest in wanted.items()
        if (child := rule.children.get(name)) is not None
        for one in (child, *_required(child))
        if _fixes(one)
    )


def _required(rule: _Rule) -> Iterator[_Rule]:
    """The slices of which every value that has any must have one."""
    return (own for own in rule.slices.values() if own.least)


def _fixes(rule: _Rule) -> bool:
    own = rule.fixed is not _NO_VALUE or rule.pattern is not _NO_VALUE or rule.codes is not None
    return own or any(map(_fixes, (*rule.children.values(), *_required(rule))))


def _values(parent: object, name: str, at: str) -> list[_Value]:
    """The values of an element with their places; one that has only an extension counts, and is None."""
    found: list[_Value] = []
    bare = name.removesuffix("[x]")
    for key in mapped(parent):
        shown = key.removeprefix("_")
        if key != shown and shown in mapped(parent):
            continue
        type_ = shown.removeprefix(bare) if bare != name else ""
        if shown == name or (type_[:1].isupper() and shown.startswith(bare)):
            value = mapped(parent)[key] if key == shown else None
            if isinstance(value, list):
                found += [_Value(each, type_, f"{at}.{key}[{i}]") for i, each in enumerate(value)]
            else:
                found.append(_Value(value, type_, f"{at}.{shown}"))
    return found


def contains(value: object, pattern: object) -> bool:
    """Whether a value has everything that a pattern has; of a list, each in some place.

    >>> contains({"coding": [{"code": "b"}, {"code": "a", "display": "A"}]}, {"coding": [{"code": "a"}]})
    True
    """
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(contains(value.get(k, _NO_VALUE), p) for k, p in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(contains(v, p) for v in value) for p in pattern)
    return value == pattern


def _coded(value: object, allowed: Codes) -> bool:
    """Whether a code, Coding, CodeableConcept or Quantity has one of the codes."""
    if isinstance(value, str):
        return any(value == code for _, code in allowed)
    codings = listed(mapped(value).get("coding")) or [value]
    return any((mapped(c).get("system"), mapped(c).get("code")) in allowed for c in codings)


def _refers_to(value: object) -> str:
    """The type of resource that a reference names; empty if it does not say."""
    reference = mapped(value).get("reference", "")
    steps = str(reference).partition("/_history/")[0].split("/")
    named = [kind for kind, _ in pairwise(steps) if kind in definitions.resource_types()]
    return named[-1] if named else str(mapped(value).get("type", ""))
