"""Is this resource R4? Structure, required codes, reference targets, invariants, profiles: each deviation is an Issue.

An error refuses a write, a warning informs. Much of what R4 asks is answered by which keys an object has and not by
what they hold: each type remembers the shapes (the keys, in order) in which it came, and for each shape what is known
from it and what must still be asked of the values. An ordinary Observation is left with a few codes and references.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import cache, cached_property
from typing import Any, NamedTuple

from adjunct.base import BadInput
from adjunct.fhir import definitions, profiles, releases
from adjunct.fhir.definitions import Element, Invariant
from adjunct.fhir.outcome import Issue, Severity
from adjunct.fhir.path import Binary, Call, Literal, Member, Node, Path, PathError, compile_path, parse
from adjunct.fhir.structure import Fault, faults
from adjunct.fhir.wire import Json, listed, mapped, walk

MAX_SHAPES = 256  # remembered of each type; keys in ever new orders must not fill the memory
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
# Asked here without FHIRPath: in every element, of some Quantities only (sqty-1), or in words that FHIRPath cannot say
# (htmlChecks) or says wrongly (dom-3 of R4 asks for `as` of many values).
OWN = frozenset({"ele-1", "ref-1", "dom-3", "sqty-1", "txt-1", "txt-2"})
_DAYS = frozenset({"date", "dateTime", "instant"})
_TO_DAY, _DATE = len("YYYY-MM-"), len("YYYY-MM-DD")
_IN_EVERY_MONTH = "28"


def validate(document: Json, raw: bytes, *, profile: Sequence[str] = ()) -> tuple[Issue, ...]:
    """What deviates from R4, from the profiles that the resource claims and we know, and from those asked for.

    `raw` is the same resource as JSON. No issue repeats a value; `expression` names its place.

    >>> validate({"resourceType": "Basic"}, b'{"resourceType": "Basic"}')[0]
    Issue(severity='error', code='required', diagnostics='required element missing', expression='Basic.code')
    """
    kind = document.get("resourceType")
    broken = [*faults(raw)]
    issues = [_structural(fault, str(kind)) for fault in broken]
    claims = listed(mapped(document.get("meta")).get("profile"))
    if broken or claims:
        try:
            issues += _of_other_releases(document if broken else {"resourceType": kind, "meta": document["meta"]})
        except BadInput as refused:
            return (Issue("error", "not-supported", str(refused).removesuffix(f" (at {refused.at})"), refused.at),)
    if not any(fault.wrong for fault in broken):  # else it cannot be read any further
        issues += _Found(document).issues()
        issues += profiles.check(document, claims, profile) if claims or profile else ()
    return tuple(issues)


def _structural(fault: Fault, kind: str) -> Issue:
    code = "required" if fault.missing else "value" if fault.said.startswith("not a") else "structure"
    return Issue("error", code, fault.said, fault.place or kind)


def _of_other_releases(document: Json) -> Iterator[Issue]:
    """Raises BadInput for what another release wrote."""
    kind = document.get("resourceType")
    if isinstance(kind, str) and kind not in releases.types():
        raise releases.unknown_type(kind, "resourceType")
    for said, at in releases.refuse_other_releases(document, str(kind)) if kind else ():
        yield Issue("warning", "not-supported", said, at)


# --- what a shape leaves to be asked ----------------------------------------------------------------------------------


class _Said(NamedTuple):
    """An issue before its place is known."""

    code: str
    diagnostics: str
    severity: Severity = "error"


class _Rule(NamedTuple):
    """An invariant. `holds` is None where its FHIRPath is not supported."""

    key: str
    said: _Said
    tree: Node
    holds: Path | None
    why: str = ""

    def ask(self, value: Any, resource: Json, _: _Whole) -> _Said | None:
        """The issue if it does not hold; a warning where the values do not decide about an error."""
        assert self.holds is not None
        try:
            truth = self.holds.holds(value, resource)
        except PathError:
            truth = None
        if truth is not None:
            return None if truth else self.said
        undecided = _Said("invariant", f"{self.key}: the values do not decide it", "warning")
        return undecided if self.said.severity == "error" else None


class _Whole:
    """A resource that is contained in no other; what it contains is looked through once, if anything refers to it."""

    def __init__(self, resource: Json) -> None:
        self._resource = resource

    @cached_property
    def local(self) -> dict[str, Any]:
        """The types of what a local reference can lead to, by the reference; the first of those with one id."""
        inside = [mapped(inner) for inner in listed(self._resource.get("contained"))]
        named = {f"#{inner['id']}": inner.get("resourceType") for inner in reversed(inside) if "id" in inner}
        return {"#": self._resource.get("resourceType")} | named


Ask = Callable[[Any, Json, _Whole], _Said | None]  # the value, its resource, and the one that contains that one


class _Shape(NamedTuple):
    """What is still to be asked of an object of one type that has these keys."""

    said: tuple[_Said, ...]  # known from the keys alone
    asked: tuple[Ask, ...]
    inside: tuple[tuple[str, _Kind | None, tuple[Ask, ...]], ...]  # of each value of a key; None: not an object


class _Kind:
    """A type or a backbone element: what R4 says of it, and the shapes in which it came so far."""

    def __init__(self, name: str, *, contained: bool = False) -> None:
        self.name = name
        self.rules = tuple(r for r in _rules(name, name) if not (contained and r.key == "dom-6"))
        self.keys = definitions.by_key(name)
        self.shapes: dict[tuple[str, ...], _Shape] = {}

    def shape(self, keys: tuple[str, ...]) -> _Shape:
        """What the keys of an object leave to be asked."""
        found = self.shapes.get(keys)
        if found is None:
            if len(self.shapes) >= MAX_SHAPES:
                self.shapes.clear()
            found = self.shapes[keys] = self._shape(keys)
        return found

    def _shape(self, keys: tuple[str, ...]) -> _Shape:
        present = {self.keys[bare][0].name for key in keys if (bare := key.removeprefix("_")) in self.keys}
        known = [(rule, known_from(rule.tree, present, definitions.elements(self.name))) for rule in self.rules]
        said = [rule.said for rule, truth in known if truth is False]
        asked = [rule.ask for rule, truth in known if truth is None and rule.holds]
        if not (keys if self.name == "Element" else set(keys) - {"id"}):
            said.append(_Said("invariant", "ele-1: an element needs a value or children"))
        inside = [entry for key in keys for entry in self._inside(key)]
        return _Shape(tuple(said), tuple(asked), tuple(inside)) if said or asked or inside else _QUIET

    def _inside(self, key: str) -> Iterator[tuple[str, _Kind | None, tuple[Ask, ...]]]:
        element, type_ = self.keys.get(key.removeprefix("_"), (None, ""))
        if element is None:
            return  # resourceType, or unknown: structure has said so
        if key.startswith("_"):
            yield key, kind_of("Element"), ()
            return
        own = () if element.children else _rules(f"{self.name}.{element.name}", type_)
        asked = (*_of_element(self.name, element, type_), *(rule.ask for rule in own if rule.holds))
        kind = None if type_ in definitions.primitive_types() else kind_of(type_)
        if kind or asked:
            yield key, kind, asked


_QUIET = _Shape((), (), ())


@cache
def kind_of(name: str, *, contained: bool = False) -> _Kind:
    """What is known of a type; of a contained resource nobody expects a narrative."""
    return _Kind(name, contained=contained)


@cache
def _rules(path: str, start: str) -> tuple[_Rule, ...]:
    return tuple(_rule(rule, start) for rule in definitions.invariants(path) if rule.key not in OWN)


def _rule(rule: Invariant, start: str) -> _Rule:
    said = _Said("invariant", f"{rule.key}: {rule.human}", rule.severity)
    try:
        return _Rule(rule.key, said, parse(rule.expression), compile_path(rule.expression, start))
    except PathError as error:
        return _Rule(rule.key, said, parse(rule.expression), None, str(error))


def unchecked() -> tuple[tuple[str, str, str], ...]:
    """What R4 requires and is not asked here: an invariant or a value set, where it stands first, and why."""
    left: dict[str, tuple[str, str, str]] = {}
    waiting, seen = sorted(definitions.resource_types()), set()
    for name in waiting:
        kind = kind_of(name)
        seen.add(name)
        rules = [(name, rule) for rule in kind.rules]
        for element, type_ in kind.keys.values():
            path = f"{name}.{element.name}"
            rules += [(path, rule) for rule in _rules(path, type_) if not element.children]
            if element.binding and definitions.codes(element.binding) is None:
                left.setdefault(element.binding, (element.binding, path, "its codes cannot be listed here"))
            if type_ not in seen:
                waiting.append(type_)
        for path, rule in rules:
            if rule.holds is None:
                left.setdefault(rule.key, (rule.key, path, rule.why))
    return tuple(sorted(left.values()))


# --- what the presence of elements decides ----------------------------------------------------------------------------

_STAYS_EMPTY = frozenset("where select first last tail ofType as trace repeat intersect extension single".split())
_HOLDS_OF_NONE = frozenset("all allTrue allFalse isDistinct".split())


def known_from(tree: Node, present: set[str], elements: Iterable[str]) -> bool | None:
    """Whether an invariant holds, as far as the names of the elements that are present say it; None: ask the values.

    >>> rule, of = parse("value.empty() or component.code.where(coding.exists()).empty()"), ("value", "component")
    >>> known_from(rule, {"value"}, of), known_from(rule, {"value", "component"}, of)
    (True, None)
    """

    def there(node: Node | None) -> bool | None:
        match node:
            case Member(source=None, name=name) if name in elements:
                return name in present
            case Member(source=source) if source is not None:
                return None if there(source) is not False else False
            case Call(source=source, name=name) if source is not None and name in _STAYS_EMPTY:
                return None if there(source) is not False else False
            case Binary(operator="|", left=left, right=right):
                return _either(there(left), there(right))
        return None

    def truth(node: Node) -> bool | None:
        match node:
            case Literal(type="boolean", value=value):
                return bool(value)
            case Call(source=source, name="not") if source is not None:
                return _opposite(truth(source))
            case Call(source=source, name="exists" | "empty" as name, arguments=()):
                return there(source) if name == "exists" else _opposite(there(source))
            case Call(source=source, name="exists" | "hasValue"):
                return None if there(source) is not False else False
            case Call(source=source, name=name) if name in _HOLDS_OF_NONE:
                return None if there(source) is not False else True
            case Binary(operator="or", left=left, right=right):
                return _either(truth(left), truth(right))
            case Binary(operator="and", left=left, right=right):
                return _opposite(_either(_opposite(truth(left)), _opposite(truth(right))))
            case Binary(operator="implies", left=left, right=right):
                return _either(_opposite(truth(left)), truth(right))
            case Binary(operator="=" | "!=" | "xor" as operator, left=left, right=right):
                a, b = truth(left), truth(right)
                return None if a is None or b is None else (a == b) == (operator == "=")
        return None

    return truth(tree)


def _either(a: bool | None, b: bool | None) -> bool | None:
    return True if a or b else None if a is None or b is None else False


def _opposite(a: bool | None) -> bool | None:
    return None if a is None else not a


# --- what is asked of a value because of the element in which it stands -----------------------------------------------


def _of_element(owner: str, element: Element, type_: str) -> Iterator[Ask]:
    if element.name == "id" and owner in definitions.resource_types():
        yield _id
    elif type_ in _DAYS:
        yield _day
    elif type_ == "Reference":
        yield _refers(frozenset(element.targets))
    elif type_ == "Narrative":
        yield _narrative
    elif type_ == "Quantity" and element.simple:
        yield _amount
    if element.binding and (codes := definitions.codes(element.binding)) is not None:
        yield _coded(type_, codes, element.binding)


def _id(value: Any, *_: object) -> _Said | None:
    fits = value.__class__ is not str or ID.fullmatch(value)
    return None if fits else _Said("value", "not a valid id: 1 to 64 letters, digits, - and .")


def _day(value: Any, *_: object) -> _Said | None:
    """That the day is in the calendar; its form has been checked."""
    if value.__class__ is str and value[_TO_DAY:_DATE] > _IN_EVERY_MONTH:
        try:
            date.fromisoformat(value[:_DATE])
        except ValueError:
            return _Said("value", "no such day in the calendar")
    return None


def _amount(value: Any, *_: object) -> _Said | None:
    """SimpleQuantity: nobody can give "less than 5 mg"."""
    if mapped(value).keys().isdisjoint(("comparator", "_comparator")):
        return None
    return _Said("invariant", "sqty-1: an amount here has no comparator (<, <=, >=, >)")


def _coded(type_: str, codes: frozenset[tuple[str, str]], binding: str) -> Ask:
    """That a code, a Coding, a CodeableConcept or a Quantity has a code of the value set."""
    said = _Said("code-invalid", f"needs a code of {binding}")
    allowed = frozenset(code for _, code in codes)
    if type_ in definitions.primitive_types():
        return lambda value, *_: said if value.__class__ is str and value not in allowed else None

    def ask(value: Json, *_: object) -> _Said | None:
        codings = listed(value.get("coding")) if type_ == "CodeableConcept" else [value]
        named = ((mapped(c).get("system", ""), mapped(c).get("code", "")) for c in codings)
        return None if any(pair in codes for pair in named) else said

    return ask


def _refers(targets: frozenset[str]) -> Ask:
    """That a reference leads to a type that may stand here, and a local one to something contained."""
    anything = definitions.resource_types()
    allowed = targets or anything
    wrong = _Said("value", f"may refer only to {', '.join(sorted(targets)) or 'a resource of R4'}")
    nothing = _Said("not-found", "ref-1: refers to a contained resource that is not there")

    def ask(value: Json, _: Json, whole: _Whole) -> _Said | None:
        reference = value.get("reference")
        if reference.__class__ is not str:
            kind = value.get("type")
            return wrong if kind in anything and kind not in allowed else None
        kind = reference.partition("/")[0]
        if kind in allowed:
            return None
        if reference.startswith("#"):
            if reference not in whole.local:
                return nothing
            return None if whole.local[reference] in allowed else wrong
        if ":" in reference:  # an address elsewhere may say the type, or nothing
            kind = reference.partition("/_history/")[0].rpartition("/")[0].rpartition("/")[2]
            return wrong if kind in anything and kind not in allowed else None
        return None if reference.partition("?")[0] in allowed else wrong  # by a search, in a transaction

    return ask


_XHTML = frozenset(
    "a abbr acronym address area b bdo big blockquote br caption center cite code col colgroup dd del dfn dir div dl "
    "dt em font h1 h2 h3 h4 h5 h6 hr i img ins kbd li map menu ol p pre q s samp small span strike strong sub sup "
    "table tbody td tfoot th thead tr tt u ul var".split()
)
_NO_SCRIPT = r"(?!\s*+(?i:java|vb)(?i:script)\s*+:)"
_ATTRIBUTE = rf"""(?!(?i:on|xlink))[\w:.-]++\s*+=\s*+(?:"{_NO_SCRIPT}[^<"]*+"|'{_NO_SCRIPT}[^<']*+')"""
_MARKUP = re.compile(rf"<(?:/?([a-z][a-z0-9]*+)(?:\s++{_ATTRIBUTE})*+\s*+/?>|!--(?:[^-]|-(?!->))*+-->)")
_BLANK = re.compile(r"(?:\s|&nbsp;|&#160;|&#x0*a0;)*", re.IGNORECASE)


def _narrative(value: Json, *_: object) -> _Said | None:
    """XHTML for reading only, without scripts, forms, frames and event handlers, and something to read.

    It keeps out what is plainly active; whoever shows a narrative of others must still clean it.
    """
    div = value.get("div")
    if div.__class__ is not str:
        return None
    parts = _MARKUP.split(div)  # text, name of an element (None: a comment), text ...
    words, names = "".join(parts[::2]), {*parts[1::2]} - {None}
    if "<" in words or not _XHTML.issuperset(names) or not div.lstrip().startswith("<div"):
        return _Said("invariant", "txt-1: a narrative is one div of plain XHTML without active content")
    if "img" not in names and _BLANK.fullmatch(words):
        return _Said("invariant", "txt-2: a narrative needs some text")
    return None


# --- one resource -----------------------------------------------------------------------------------------------------


class _Found:
    """What was found in one resource, by object; places are looked up only if there is something to say."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.said: list[tuple[Json, str, _Said]] = []
        self.visit_resource(document)

    def visit_resource(self, resource: Json, container: _Whole | None = None) -> None:
        """A resource; `container` is the one that it is contained in."""
        kind = resource.get("resourceType")
        if kind not in definitions.resource_types():
            return  # structure has said so
        shape = kind_of(kind, contained=container is not None).shape(tuple(resource))
        self.visit(resource, shape, resource, container or _Whole(resource))
        if "contained" in resource:
            self._unreferenced(resource)
        if kind == "Bundle":
            self._full_urls(resource)

    def visit(self, node: Json, shape: _Shape, resource: Json, whole: _Whole) -> None:
        for issue in shape.said:
            self.said.append((node, "", issue))
        for ask in shape.asked:
            if found := ask(node, resource, whole):
                self.said.append((node, "", found))
        for key, kind, asked in shape.inside:
            value = node[key]
            for child in value if value.__class__ is list else (value,):
                if child.__class__ is not dict and kind is not None:
                    continue  # null beside an extension
                for ask in asked:
                    if found := ask(child, resource, whole):
                        self.said.append((node, key, found) if kind is None else (child, "", found))
                if kind is None:
                    continue
                if kind.name == "Resource":
                    self.visit_resource(child, whole if key == "contained" else None)
                    continue
                keys = tuple(child)
                inner = kind.shapes.get(keys) or kind.shape(keys)
                if inner is not _QUIET:
                    self.visit(child, inner, resource, whole)

    def _unreferenced(self, resource: Json) -> None:
        """dom-3: what is contained is referred to from the resource, or refers to it."""
        local = {*_local_references(resource)}
        for inner in map(mapped, listed(resource["contained"])):
            if f"#{inner.get('id')}" not in local and "#" not in _local_references(inner):
                said = _Said("invariant", "dom-3: contained, and nothing in the resource refers to it")
                self.said.append((inner, "", said))

    def _full_urls(self, bundle: Json) -> None:
        """A web address under which a resource is sent ends in its id."""
        for entry in map(mapped, listed(bundle.get("entry"))):
            url, own = entry.get("fullUrl"), mapped(entry.get("resource"))
            end = f"/{own.get('resourceType')}/{own.get('id')}"
            if isinstance(url, str) and url.startswith("http") and "id" in own and not url.endswith(end):
                said = _Said("value", "does not end in the type and id of the resource")
                self.said.append((entry, "fullUrl", said))

    def issues(self) -> Iterator[Issue]:
        """Every issue with its place."""
        places: dict[int, str] = {id(self.document): str(self.document["resourceType"])}
        if any(node is not self.document for node, _, _ in self.said):
            for at, node in walk(self.document):
                places.setdefault(id(node), at)
        for node, key, (code, diagnostics, severity) in self.said:
            at = places[id(node)]
            yield Issue(severity, code, diagnostics, f"{at}.{key}" if key else at)


def _local_references(value: Any) -> Iterator[str]:
    """Every text that begins with #: a reference, a canonical or a uri."""
    if value.__class__ is str:
        if value.startswith("#"):
            yield value
    elif value.__class__ is dict or value.__class__ is list:
        for child in value.values() if value.__class__ is dict else value:
            yield from _local_references(child)
