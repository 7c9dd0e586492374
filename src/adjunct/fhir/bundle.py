"""One person's record as a FHIR R4 Bundle: read it, refuse what cannot be read, resolve its references.

Three kinds of trouble, three answers. The whole input is unusable (not JSON, another FHIR release, two patients):
`BadInput`, one line that says what, where and what to do. One resource is unusable (wrong JSON types, a modifier
extension): the rest is read, `entry.uninterpretable` says why, and a problem with `blocks=True` keeps the answer from
being called complete. Something is untidy (a reference that leads nowhere): a problem, and everything is read.
No message repeats a value of the record; it names the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

from adjunct.base import BadInput
from adjunct.fhir.releases import refuse_other_releases, types, unknown_type
from adjunct.fhir.structure import faults
from adjunct.fhir.wire import Json, listed, mapped, read_json, walk

Code = Literal[
    "bad-id",
    "dangling-reference",
    "duplicate",
    "incomplete-search",
    "invalid",
    "malformed",
    "modifier",
    "nested-bundle",
    "no-resource",
    "no-subject",
    "not-about-person",
    "other-release",
    "source-error",
    "unproven-subject",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something untidy in the Bundle. `blocks`: what was not read could change the answer, so it is not complete."""

    code: Code
    message: str
    at: str
    reference: str = ""
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource. `reference` is how to cite it; `uninterpretable`, unless empty, is why it must not be read."""

    resource: Mapping[str, Any] = field(repr=False)  # a traceback or a log line must not carry the record
    reference: str
    at: str
    full_url: str = ""
    uninterpretable: str = ""
    container: Entry | None = field(default=None, repr=False)

    @property
    def type(self) -> str:
        return str(self.resource["resourceType"])


@dataclass(frozen=True, slots=True)
class Bundle:
    """One person and what is recorded about them, each resource once, in the order in which they came."""

    patient: Mapping[str, Any] = field(repr=False)
    patient_reference: str
    resources: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    _by_url: Mapping[str, Entry] = field(repr=False, compare=False)
    _by_local: Mapping[str, Entry | None] = field(repr=False, compare=False)  # None: two resources share Type/id

    def of(self, *types: str) -> Iterator[Entry]:
        """The resources of these types that may be interpreted."""
        return (e for e in self.resources if e.type in types and not e.uninterpretable)

    def resolve(self, reference: object, base: Entry | None = None) -> Entry | None:
        """What a reference points to, seen from `base`; None when it leads out of the Bundle or nowhere.

        Takes the string or the Reference object. One step, so a circle of references cannot hang it.
        """
        if isinstance(reference, Mapping):
            reference = reference.get("reference")
        if not isinstance(reference, str) or not reference:
            return None
        if reference.startswith("#"):
            return _contained(reference[1:], base)
        target = reference.partition("/_history/")[0]
        found = self._by_url.get(target)
        if found:
            return found
        local = _local(target)
        root = _root((base.container or base).full_url) if base else ""
        if ":" not in target and root and (found := self._by_url.get(root + local)):
            return found
        found = self._by_local.get(local)
        home = _root(found.full_url) if found else ""
        # A resource that came with its own web address is meant only by that address, or from the same server.
        return None if home and (":" in target or root not in ("", home)) else found


def read_bundle(source: bytes | str | Path | Mapping[str, Any] | IO[bytes]) -> Bundle:
    """Read one person's Bundle from JSON bytes or text, a file, an open binary stream, or parsed JSON."""
    document, raw = read_json(source)
    bundle = _bundle(document)
    problems = list(_remarks(bundle))
    entries = _entries(bundle)
    for entry in entries:
        for said, at in refuse_other_releases(entry.resource, entry.at):
            problems.append(Problem("other-release", said, at))
    unusable = _unusable(raw, problems)
    kept, alias = _once(entries, problems)
    return _one_person(_named(kept, unusable, problems), alias, problems)


# --- the Bundle itself ------------------------------------------------------------------------------------------------

_READABLE = ("collection", "searchset", "document", "message", "transaction", "batch")
_OUTCOMES = "a response holds outcomes, not the record: send a collection or a searchset"
_UNREADABLE = {
    "history": "a history holds several versions of a fact: send the current ones as a collection",
    "transaction-response": _OUTCOMES,
    "batch-response": _OUTCOMES,
}


def _bundle(document: object) -> Json:
    """The document, if it is a Bundle of R4 that can be one person's record; or one line about what it is instead."""
    if not isinstance(document, dict):
        shape = "a list" if isinstance(document, list) else "a single value"
        raise BadInput(f"not a Bundle but {shape}: wrap the resources in one FHIR R4 Bundle", "$")
    kind = document.get("resourceType")
    if not isinstance(kind, str):
        raise BadInput('no resourceType: send a FHIR R4 Bundle, {"resourceType": "Bundle", ...}', "$.resourceType")
    if kind != "Bundle":
        if kind not in types():
            raise unknown_type(kind, "$.resourceType")
        raise BadInput(f"a lone {kind}, not a Bundle: wrap it, with the Patient, as Bundle.entry[].resource", kind)
    purpose = document.get("type", "collection")
    if purpose not in _READABLE:
        why = _UNREADABLE.get(purpose) if isinstance(purpose, str) else None
        raise BadInput(why or "not a Bundle type of FHIR R4 (perhaps R5): send R4, type collection", "Bundle.type")
    for rules in ("implicitRules", "modifierExtension"):
        if document.get(rules):
            raise BadInput("the whole Bundle is under rules unknown here: send it without them", f"Bundle.{rules}")
    for i, link in enumerate(listed(document.get("link"))):
        if mapped(link).get("relation") == "next":
            raise BadInput("one page of several: fetch every page and send them as one Bundle", f"Bundle.link[{i}]")
    if not isinstance(document.get("entry", []), list):
        raise BadInput('entry is not a list: write "entry": [{"resource": {...}}]', "Bundle.entry")
    return document


def _entries(bundle: Json) -> list[Entry]:
    """Each resource with its place; not yet how to cite it."""
    found = []
    for i, entry in enumerate(bundle.get("entry", [])):
        at = f"Bundle.entry[{i}]"
        if not isinstance(entry, dict):
            raise BadInput('not an object: write {"resource": {...}}', at)
        resource, url = entry.get("resource"), entry.get("fullUrl", "")
        if not isinstance(url, str):
            raise BadInput("fullUrl is not a string: write a URL or urn:uuid:...", f"{at}.fullUrl")
        if resource is None:
            continue
        if not isinstance(resource, dict):
            raise BadInput('the resource is not an object: write "resource": {...}', f"{at}.resource")
        kind = resource.get("resourceType")
        if not isinstance(kind, str):
            raise BadInput("no resourceType: say which FHIR R4 resource this is", f"{at}.resource.resourceType")
        if kind not in types():
            raise unknown_type(kind, f"{at}.resource.resourceType")
        why = "the entry is under a modifier extension" if entry.get("modifierExtension") else ""
        found.append(Entry(resource=resource, reference="", at=f"{at}.resource", full_url=url, uninterpretable=why))
    return found


def _remarks(bundle: Json) -> Iterator[Problem]:
    """What the Bundle says about itself and about its own completeness."""
    entries = [mapped(e) for e in bundle.get("entry", [])]
    if "type" not in bundle:
        yield Problem("invalid", "Bundle.type is missing: read as a collection", "Bundle.type")
    matches = sum(mapped(e.get("search")).get("mode", "match") == "match" for e in entries)
    total = bundle.get("total")
    if isinstance(total, int) and total > matches:
        said = "the search found more than this Bundle holds: send all of it"
        yield Problem("incomplete-search", said, "Bundle.total", blocks=True)
    for i, entry in enumerate(entries):
        at, resource = f"Bundle.entry[{i}]", mapped(entry.get("resource"))
        kind = resource.get("resourceType")
        if entry.get("resource") is None:
            yield Problem("no-resource", "an entry without a resource says nothing: left out", at)
        elif kind == "Bundle":
            said = "a Bundle inside the Bundle is not read: put its entries side by side"
            yield Problem("nested-bundle", said, f"{at}.resource", blocks=True)
        elif kind == "OperationOutcome":
            grave = any(mapped(x).get("severity") in ("fatal", "error") for x in listed(resource.get("issue")))
            said = "reported an error: something may be missing" if grave else "left a remark"
            yield Problem("source-error", f"the system that sent this {said}", f"{at}.resource", blocks=grave)


# --- one resource that cannot be used ---------------------------------------------------------------------------------

_OF_ENTRY = re.compile(r"(Bundle\.entry\[(\d+)\]\.resource)(?:\.|\Z)")


def _unusable(raw: bytes, problems: list[Problem]) -> dict[str, str]:
    """Why a resource must not be interpreted, by its place; what is merely untidy goes to `problems`.

    The structure of R4 is known by `structure`; what to do about a deviation is decided here.
    """
    why: dict[str, str] = {}
    for fault in faults(raw):
        entry = _OF_ENTRY.match(fault.path)
        place = fault.place or (entry[1] if entry else "Bundle")
        if not fault.wrong:
            problems.append(Problem("invalid", fault.said, place))
        elif entry:
            why[entry[1]] = f"{fault.said} at {place}"
            problems.append(Problem("malformed", f"{fault.said}: this resource is not read", place, blocks=True))
        else:
            raise BadInput(f"{fault.said}: write it as FHIR R4 says", place)
    return why


def _under_modifier(entry: Entry) -> str:
    """The place of a modifier extension or of implicit rules anywhere in the resource."""
    stack: list[object] = [entry.resource]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if node.get("modifierExtension") or node.get("implicitRules"):
                break
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    else:
        return ""
    for at, node in walk(entry.resource, entry.at):
        if node and at.endswith((".modifierExtension", ".implicitRules")):
            return at
    return ""


# --- the same resource twice ------------------------------------------------------------------------------------------

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_URL = re.compile(r"(?:https?://|urn:(?:uuid|oid):)[!-~]{1,256}")
_UNSAID = ("meta", "text")  # may differ between two copies of one resource


def _same(a: Entry, b: Entry) -> bool:
    left, right = ({k: v for k, v in e.resource.items() if k not in _UNSAID} for e in (a, b))
    return left == right


def _once(entries: list[Entry], problems: list[Problem]) -> tuple[list[Entry], dict[str, str]]:
    """Each resource once, and by which full URLs its copies were known."""
    kept: dict[str, Entry] = {}
    alias: dict[str, str] = {}
    for entry in entries:
        own = entry.resource.get("id")
        local = f"{entry.type}/{own}" if isinstance(own, str) else ""
        for key in filter(None, (entry.full_url, local)):
            first = kept.get(key)
            if first is None:
                continue
            if _same(first, entry):
                problems.append(Problem("duplicate", "the same resource again: read once", entry.at))
                alias[entry.full_url] = first.at
                break
            if key == entry.full_url:
                said = f"two different resources under one fullUrl (see {first.at}): keep the current one"
                raise BadInput(said, entry.at.replace(".resource", ".fullUrl"))
            if not (_root(first.full_url) and _root(entry.full_url)):
                said = f"two different resources with one id (see {first.at}): keep the current one"
                raise BadInput(said, f"{entry.at}.id")
        else:
            kept.setdefault(entry.full_url or local or entry.at, entry)
            if local:
                kept.setdefault(local, entry)
    unique = {e.at: e for e in kept.values()}
    return [e for e in entries if e.at in unique], alias


# --- who it is about --------------------------------------------------------------------------------------------------

_ABOUT = ("subject", "patient", "for", "individual", "beneficiary")
_NEEDS_PERSON = frozenset(
    "AdverseEvent AllergyIntolerance CarePlan Condition Consent DetectedIssue DeviceUseStatement DiagnosticReport "
    "Encounter FamilyMemberHistory Flag Goal Immunization MedicationAdministration MedicationDispense "
    "MedicationRequest MedicationStatement Observation Procedure QuestionnaireResponse RiskAssessment "
    "ServiceRequest".split()
)
_WEB = ("http://", "https://")


def _local(reference: str) -> str:
    """`Type/id` of a reference, or an empty string."""
    parts = reference.rsplit("/", 2)[-2:]
    return "/".join(parts) if len(parts) == 2 and _ID.fullmatch(parts[1]) and parts[0] in types() else ""


def _root(url: str) -> str:
    """The server address of a full URL: what comes before `Type/id`; empty when it is not a web address."""
    local = _local(url) if url.startswith(_WEB) else ""
    return url.removesuffix(local) if local else ""


def _contained(name: str, base: Entry | None) -> Entry | None:
    holder = (base.container or base) if base else None
    if holder is None or not name:
        return holder
    for i, resource in enumerate(listed(holder.resource.get("contained"))):
        if isinstance(resource, dict) and resource.get("id") == name and resource.get("resourceType") in types():
            at, cite = f"{holder.at}.contained[{i}]", f"{holder.reference}#{name}"
            return Entry(resource, cite, at, uninterpretable=holder.uninterpretable, container=holder)
    return None


def _named(entries: list[Entry], unusable: Mapping[str, str], problems: list[Problem]) -> list[Entry]:
    """Each entry with the reference by which to cite it and, if so, why it must not be read."""
    owners: dict[str, list[Entry]] = {}
    for entry in entries:
        owners.setdefault(_own(entry), []).append(entry)
    named = []
    for entry in entries:
        own = _own(entry)
        if not own and entry.resource.get("id") is not None:
            problems.append(Problem("bad-id", "not an id FHIR allows: the place is cited instead", f"{entry.at}.id"))
        cite = own if own and len(owners[own]) == 1 else entry.full_url if _URL.fullmatch(entry.full_url) else entry.at
        why = entry.uninterpretable or unusable.get(entry.at, "")
        modifier = entry.at if entry.uninterpretable else _under_modifier(entry)
        if modifier:
            why = why or f"a modifier that is not known here, at {modifier}"
            said = "a modifier that is not known here may reverse the meaning: this resource is not read"
            problems.append(Problem("modifier", said, modifier, cite, blocks=True))
        elif entry.type == "Bundle":
            why = why or "a Bundle inside the Bundle"
        named.append(replace(entry, reference=cite, uninterpretable=why))
    return named


def _own(entry: Entry) -> str:
    own = entry.resource.get("id")
    return f"{entry.type}/{own}" if isinstance(own, str) and _ID.fullmatch(own) else ""


def _one_person(entries: list[Entry], alias: Mapping[str, str], problems: list[Problem]) -> Bundle:
    """The Bundle, once it is certain that it has one Patient and that everything read is about that one."""
    patients = [e for e in entries if e.type == "Patient"]
    if not patients:
        said = 'no Patient: add an entry {"resource": {"resourceType": "Patient", "id": "..."}} and refer to it'
        raise BadInput(said, "Bundle.entry")
    if patients[1:]:
        raise BadInput(f"a second Patient (the first is {patients[0].at}): send one Bundle for each", patients[1].at)
    by_url = {e.full_url: e for e in entries if e.full_url}
    by_place = {e.at: e for e in entries}
    by_url.update({copy: by_place[first] for copy, first in alias.items() if copy})
    by_local: dict[str, Entry | None] = {}
    for entry in entries:
        if own := _own(entry):
            by_local[own] = None if own in by_local else entry
    patient = patients[0]
    if not patient.full_url or patient.full_url.startswith("urn:"):
        by_url.setdefault(f"urn:uuid:{patient.resource.get('id')}", patient)
    plain = patient.resource
    if patient.uninterpretable:  # who it is can still be said, what else it states cannot
        plain = {key: plain[key] for key in ("resourceType", "id") if key in plain}
    bundle = Bundle(plain, patient.reference, (), (), by_url, by_local)
    names = frozenset(filter(None, (_identified(x) for x in listed(patient.resource.get("identifier")))))
    checked = [entry if entry is patient else _about(entry, patient, names, bundle, problems) for entry in entries]
    final = {id(old): new for old, new in zip(entries, checked, strict=True)}
    for entry in checked:
        _look_for_dangling(entry, bundle, problems)
    return replace(
        bundle,
        resources=tuple(checked),
        problems=tuple(problems),
        _by_url={url: final[id(e)] for url, e in by_url.items()},
        _by_local={local: final[id(e)] if e else None for local, e in by_local.items()},
    )


_Names = frozenset[tuple[str, str]]  # the identifiers of the Patient: system and value


def _identified(identifier: object) -> tuple[str, str] | None:
    system, value = (mapped(identifier).get(key, "") for key in ("system", "value"))
    return (system, value) if isinstance(system, str) and isinstance(value, str) and value else None


def _about(entry: Entry, patient: Entry, names: _Names, bundle: Bundle, problems: list[Problem]) -> Entry:
    """The entry, marked if it is not, or not provably, about the patient; another patient is refused."""

    def aside(code: Code, said: str, at: str, *, blocks: bool) -> Entry:
        problems.append(Problem(code, f"{said}: this resource is not read", at, entry.reference, blocks=blocks))
        return entry if entry.uninterpretable else replace(entry, uninterpretable=said)

    name = next((n for n in _ABOUT if entry.resource.get(n)), "")
    at = f"{entry.at}.{name}"
    subjects = [mapped(x) for x in _as_list(entry.resource.get(name))] if name else []
    verdicts = {_whose(x, entry, patient, names, bundle, at) for x in subjects}
    if entry.type in _NEEDS_PERSON and verdicts <= {"unsaid"}:
        said = "names no person: read as about the one Patient of this Bundle"
        problems.append(Problem("no-subject", said, entry.at, entry.reference))
    elif "unproven" in verdicts:
        return aside("unproven-subject", "it cannot be shown that this is about the Patient", at, blocks=True)
    elif verdicts and "patient" not in verdicts and verdicts != {"unsaid"}:
        return aside("not-about-person", "about something other than the Patient", at, blocks=False)
    for i, focus in enumerate(listed(entry.resource.get("focus")) if entry.type == "Observation" else ()):
        if bundle.resolve(focus, entry) is not patient:
            where = f"{entry.at}.focus[{i}]"
            return aside("not-about-person", "about something other than the Patient", where, blocks=False)
    return entry


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _whose(subject: Json, entry: Entry, patient: Entry, names: _Names, bundle: Bundle, at: str) -> str:
    """`patient`, `thing` (a group, device, place), `unproven` or `unsaid`; raises for another patient."""
    reference = subject.get("reference")
    if not isinstance(reference, str) or not reference:
        if subject.get("type", "Patient") != "Patient":
            return "thing"
        name = _identified(subject.get("identifier"))
        return "unsaid" if name is None else "patient" if name in names else "unproven"
    target = bundle.resolve(reference, entry)
    if target is patient:
        return "patient"
    if reference.startswith("#"):
        return "thing" if target and target.type != "Patient" else "unproven"
    kind = target.type if target else _local(reference.partition("/_history/")[0]).partition("/")[0]
    if (kind or subject.get("type") or "Patient") == "Patient":
        said = "points to another patient than the one in this Bundle: remove it, or correct the reference"
        raise BadInput(said, f"{at}.reference")
    return "thing"


def _look_for_dangling(entry: Entry, bundle: Bundle, problems: list[Problem]) -> None:
    """A problem for each reference that should lead somewhere in this Bundle and does not."""
    own = [mapped(x).get("id") for x in listed(entry.resource.get("contained"))]
    inside = {"", *(name for name in own if isinstance(name, str))}

    def nowhere(reference: str) -> bool:
        return reference[1:] not in inside if reference.startswith("#") else not bundle.resolve(reference, entry)

    if not any(nowhere(reference) for reference in _inner_references(entry.resource)):
        return
    for at, node in walk(entry.resource, entry.at):
        if at.endswith(".reference") and isinstance(node, str) and _is_inner(node) and nowhere(node):
            problems.append(Problem("dangling-reference", "leads to nothing in this Bundle", at, entry.reference))


def _is_inner(reference: str) -> bool:
    return reference.startswith(("#", "urn:")) or ":" not in reference


def _inner_references(resource: Mapping[str, Any]) -> Iterator[str]:
    stack: list[object] = [resource]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            reference = node.get("reference")
            if isinstance(reference, str) and _is_inner(reference):
                yield reference
            stack.extend(child for child in node.values() if child.__class__ is dict or child.__class__ is list)
        elif isinstance(node, list):
            stack.extend(child for child in node if child.__class__ is dict or child.__class__ is list)
