"""One person's record as a FHIR R4 Bundle: read it, refuse what cannot be read, resolve its references.

Three kinds of trouble, three answers. The whole input is unusable (not JSON, another FHIR release, two patients):
`BadInput`, one line that says what, where and what to do. One resource is unusable (wrong JSON types, a modifier
extension): the rest is read, `entry.uninterpretable` says why, and a problem with `blocks=True` keeps the answer from
being called complete. Something is untidy (a reference that leads nowhere): a problem, and everything is read.
No message repeats a value of the record; it names the place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO, Any, Literal, cast

import orjson
from fhirkit import RESOURCE_TYPES, validate

from adjunct.base import BadInput

MAX_BYTES = 64 * 1024 * 1024  # one person's record; parsed it takes about ten times as much memory
MAX_DEPTH = 64  # levels of objects and lists; the deepest official R4 example has 22
MAX_VALUES = 5_000_000  # values in a record handed over as Python objects, where no byte count protects
PLACE_LENGTH = 160  # characters of a place in a message; deeper places are cut
MAX_INTEGER = 2**53  # beyond it a whole number is read as a decimal one, in JSON text as well
UTF8_BOM = b"\xef\xbb\xbf"

Json = dict[str, Any]
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
    document, raw = _from_objects(source) if isinstance(source, Mapping) else _from_json(_bytes(source))
    bundle = _bundle(document)
    problems = list(_remarks(bundle))
    entries = _entries(bundle)
    _refuse_other_releases(entries, problems)
    unusable = _unusable(raw, problems)
    kept, alias = _once(entries, problems)
    return _one_person(_named(kept, unusable, problems), alias, problems)


# --- bytes to JSON ----------------------------------------------------------------------------------------------------


def _bytes(source: object) -> bytes:
    if isinstance(source, str):
        _refuse_size(len(source))
        try:
            return source.encode()
        except UnicodeEncodeError:
            raise BadInput("half of a character pair in the text: send valid Unicode") from None
    if isinstance(source, Path):
        try:
            _refuse_size(source.stat().st_size, str(source))
            with source.open("rb") as stream:
                return _bounded(stream, str(source))
        except OSError as error:
            raise BadInput(
                f"cannot read the file: {error.strerror}; name a readable Bundle file", str(source)
            ) from None
        except ValueError:
            raise BadInput("not a file name; name a readable Bundle file") from None
    if isinstance(source, bytes | bytearray | memoryview):
        _refuse_size(len(source))
        return bytes(source)
    if hasattr(source, "read"):
        return _bounded(cast(IO[bytes], source), "")
    raise BadInput(f"a Bundle cannot be read from a {type(source).__name__}: send JSON, a pathlib.Path or parsed JSON")


def _bounded(stream: IO[bytes], at: str) -> bytes:
    raw: bytes | str = stream.read(MAX_BYTES + 1)  # never more, whatever the sender claims or keeps sending
    _refuse_size(len(raw), at)
    return raw.encode() if isinstance(raw, str) else raw


def _refuse_size(size: int, at: str = "") -> None:
    if size > MAX_BYTES:
        raise BadInput(f"larger than {MAX_BYTES} bytes, too much for one person's record: send less history", at)


_CONTROL = re.compile(rb"\\(?:u00[01]|[bf])")  # may also hit an escaped backslash: only a reason to look closer
_CONTROL_SAID = "a control character in a string: FHIR allows only tab and line ends; remove it"
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_XML, _GZIP, _ZIP = b"<", b"\x1f\x8b", b"PK"
_UTF16 = (b"\xff\xfe", b"\xfe\xff", b"\x00")
_SEND_R4 = "send a FHIR R4 Bundle as JSON"


def _from_json(raw: bytes) -> tuple[object, bytes]:
    raw = raw.removeprefix(UTF8_BOM)  # Windows editors write it; it changes nothing
    if not raw.strip():
        raise BadInput(f"the input is empty: {_SEND_R4}")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _not_json(raw, error) from None
    _refuse_depth(value)
    again = orjson.dumps(value)
    # A key that came twice is lost in parsing, and its quotation marks with it: counting them is enough to notice.
    if raw.count(b'"') != again.count(b'"') or b"\\u0022" in raw:
        _refuse_twice(raw)
    if _CONTROL.search(raw):
        _refuse_controls(value)
    return value, again


def _not_json(raw: bytes, error: json.JSONDecodeError) -> BadInput:
    at = f"line {error.lineno}, column {error.colno}"
    start = raw.lstrip()
    if start.startswith(_XML):
        return BadInput("this is XML: send the Bundle as JSON", "line 1")
    if start.startswith((_GZIP, _ZIP)):
        return BadInput("this is a compressed file: unpack it and send the JSON", "line 1")
    if raw.startswith(_UTF16):
        return BadInput("this is not UTF-8: save the JSON as UTF-8 and send it again", "line 1")
    try:
        text = raw.decode()
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        column = problem.start - raw.rfind(b"\n", 0, problem.start)
        return BadInput("not valid UTF-8: save the JSON as UTF-8 and send it again", f"line {line}, byte {column}")
    if text[error.pos :].startswith(("NaN", "Infinity", "-Infinity")) or "infinity" in error.msg:
        return BadInput("not a finite number: leave the value out or write the number", at)
    if "depth" in error.msg or "ecursion" in error.msg:
        return _too_deep(at)
    if "after" in error.msg and start.startswith(b"{"):
        return BadInput("more than one JSON document (NDJSON?): wrap the resources in one Bundle", at)
    return BadInput(f"not JSON: {_SEND_R4}", at)


def _too_deep(at: str = "") -> BadInput:
    said = f"nested more than {MAX_DEPTH} levels deep: send the resources side by side in Bundle.entry"
    return BadInput(said, _shown(at))


def _shown(at: str) -> str:
    return at if len(at) <= PLACE_LENGTH else f"{at[:PLACE_LENGTH]}..."


def _refuse_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if child.__class__ is dict or child.__class__ is list
        ]
        if not level:
            return
    raise _too_deep()


class _Twice(dict[str, Any]):
    """An object in which a key came twice; kept until its place is known."""


def _refuse_twice(raw: bytes) -> None:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        one = dict(items)
        return one if len(one) == len(items) else _Twice(one)

    try:
        value = json.loads(raw, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        raise BadInput(f"not JSON that can be read in one way only: {_SEND_R4}") from None
    for at, node in _walk(value):
        if isinstance(node, _Twice):
            raise BadInput("a key comes twice in one object: keep the one that is meant", _shown(at))


def _refuse_controls(value: object) -> None:
    for at, node in _walk(value):
        texts = node if isinstance(node, dict) else (node,)
        if any(isinstance(text, str) and _FORBIDDEN.search(text) for text in texts):
            raise BadInput(_CONTROL_SAID, _shown(at))


_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")


def _below(at: str, key: str) -> str:
    """The place of an element; a key that is no element name may hold anything and is not repeated."""
    return f"{at}.{key}" if _NAME.fullmatch(key) else f"{at}.?"


def _walk(value: object, at: str = "") -> Iterator[tuple[str, object]]:
    """Every value with its place, in order, without recursion: only the way to a message takes it."""
    kind = value.get("resourceType") if isinstance(value, dict) else None
    stack: list[tuple[str, object]] = [
        (at or (kind if isinstance(kind, str) and _NAME.fullmatch(kind) else "$"), value)
    ]
    while stack:
        at, node = stack.pop()
        yield at, node
        if isinstance(node, dict):
            stack.extend(reversed([(_below(at, key), child) for key, child in node.items()]))
        elif isinstance(node, list):
            stack.extend(reversed([(f"{at}[{i}]", child) for i, child in enumerate(node)]))


def _from_objects(source: Mapping[str, Any]) -> tuple[object, bytes]:
    """A deep copy in plain JSON types: later changes by the caller, circles and foreign types stay outside."""
    seen = count(1)

    def plain(value: object, at: str, depth: int) -> Any:
        if next(seen) > MAX_VALUES:
            raise BadInput(f"more than {MAX_VALUES} values, too much for one person's record: send less history")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            if _FORBIDDEN.search(value):
                raise BadInput(_CONTROL_SAID, _shown(at))
            return str(value)
        if isinstance(value, int | float | Decimal):
            try:
                number = float(value)
            except (OverflowError, ValueError):
                number = math.inf
            if not math.isfinite(number):
                raise BadInput("not a finite number: leave the value out or write the number", _shown(at))
            return int(value) if isinstance(value, int) and abs(value) <= MAX_INTEGER else number
        if depth >= MAX_DEPTH:
            raise _too_deep(at)
        if isinstance(value, Mapping):
            copy = {}
            for key, child in value.items():
                if not isinstance(key, str) or _FORBIDDEN.search(key):
                    raise BadInput("a key that is not a plain string: send parsed JSON", _shown(at))
                copy[str(key)] = plain(child, _below(at, key), depth + 1)
            return copy
        if isinstance(value, list | tuple):
            return [plain(child, f"{at}[{i}]", depth + 1) for i, child in enumerate(value)]
        raise BadInput(f"a {type(value).__name__} is not JSON: send parsed JSON", _shown(at))

    document = plain(source, "Bundle", 0)
    return document, orjson.dumps(document)


# --- the Bundle itself ------------------------------------------------------------------------------------------------

_READABLE = ("collection", "searchset", "document", "message", "transaction", "batch")
_OUTCOMES = "a response holds outcomes, not the record: send a collection or a searchset"
_UNREADABLE = {
    "history": "a history holds several versions of a fact: send the current ones as a collection",
    "transaction-response": _OUTCOMES,
    "batch-response": _OUTCOMES,
}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapped(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _bundle(document: object) -> Json:
    """The document, if it is a Bundle of R4 that can be one person's record; or one line about what it is instead."""
    if not isinstance(document, dict):
        shape = "a list" if isinstance(document, list) else "a single value"
        raise BadInput(f"not a Bundle but {shape}: wrap the resources in one FHIR R4 Bundle", "$")
    kind = document.get("resourceType")
    if not isinstance(kind, str):
        raise BadInput('no resourceType: send a FHIR R4 Bundle, {"resourceType": "Bundle", ...}', "$.resourceType")
    if kind != "Bundle":
        if kind not in _types():
            raise _unknown_type(kind, "$.resourceType")
        raise BadInput(f"a lone {kind}, not a Bundle: wrap it, with the Patient, as Bundle.entry[].resource", kind)
    purpose = document.get("type", "collection")
    if purpose not in _READABLE:
        why = _UNREADABLE.get(purpose) if isinstance(purpose, str) else None
        raise BadInput(why or "not a Bundle type of FHIR R4 (perhaps R5): send R4, type collection", "Bundle.type")
    for rules in ("implicitRules", "modifierExtension"):
        if document.get(rules):
            raise BadInput("the whole Bundle is under rules unknown here: send it without them", f"Bundle.{rules}")
    for i, link in enumerate(_listed(document.get("link"))):
        if _mapped(link).get("relation") == "next":
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
        if kind not in _types():
            raise _unknown_type(kind, f"{at}.resource.resourceType")
        why = "the entry is under a modifier extension" if entry.get("modifierExtension") else ""
        found.append(Entry(resource=resource, reference="", at=f"{at}.resource", full_url=url, uninterpretable=why))
    return found


def _remarks(bundle: Json) -> Iterator[Problem]:
    """What the Bundle says about itself and about its own completeness."""
    entries = [_mapped(e) for e in bundle.get("entry", [])]
    if "type" not in bundle:
        yield Problem("invalid", "Bundle.type is missing: read as a collection", "Bundle.type")
    matches = sum(_mapped(e.get("search")).get("mode", "match") == "match" for e in entries)
    total = bundle.get("total")
    if isinstance(total, int) and total > matches:
        said = "the search found more than this Bundle holds: send all of it"
        yield Problem("incomplete-search", said, "Bundle.total", blocks=True)
    for i, entry in enumerate(entries):
        at, resource = f"Bundle.entry[{i}]", _mapped(entry.get("resource"))
        kind = resource.get("resourceType")
        if entry.get("resource") is None:
            yield Problem("no-resource", "an entry without a resource says nothing: left out", at)
        elif kind == "Bundle":
            said = "a Bundle inside the Bundle is not read: put its entries side by side"
            yield Problem("nested-bundle", said, f"{at}.resource", blocks=True)
        elif kind == "OperationOutcome":
            grave = any(_mapped(x).get("severity") in ("fatal", "error") for x in _listed(resource.get("issue")))
            said = "reported an error: something may be missing" if grave else "left a remark"
            yield Problem("source-error", f"the system that sent this {said}", f"{at}.resource", blocks=grave)


# --- another release of FHIR ------------------------------------------------------------------------------------------

_R5, _OLDER = "R5", "STU3 or older"
# Only what R4 does not have under that name, so that one hit decides.
_ELSEWHERE: Mapping[str, frozenset[str]] = {
    _R5: frozenset(
        """
        ActorDefinition AdministrableProductDefinition ArtifactAssessment BiologicallyDerivedProductDispense Citation
        ClinicalUseDefinition ConditionDefinition DeviceAssociation DeviceDispense DeviceUsage EncounterHistory
        EvidenceReport FormularyItem GenomicStudy ImagingSelection Ingredient InventoryItem InventoryReport
        ManufacturedItemDefinition MedicinalProductDefinition NutritionIntake NutritionProduct
        PackagedProductDefinition Permission RegulatedAuthorization Requirements SubscriptionStatus SubscriptionTopic
        SubstanceDefinition TestPlan Transport
        AllergyIntolerance.participant Condition.participant Consent.controller Consent.decision
        DiagnosticReport.supportingInfo Encounter.actualPeriod Encounter.admission Encounter.subjectStatus
        FamilyMemberHistory.participant MedicationAdministration.medication MedicationAdministration.occurenceDateTime
        MedicationAdministration.occurencePeriod MedicationDispense.medication MedicationRequest.medication
        MedicationStatement.adherence MedicationStatement.medication Observation.triggeredBy
        Procedure.occurrenceDateTime Procedure.occurrencePeriod
        """.split()
    ),
    _OLDER: frozenset(
        """
        BodySite Conformance DataElement DeviceComponent DeviceUseRequest DiagnosticOrder EligibilityRequest
        EligibilityResponse ExpansionProfile ImagingManifest ImagingObjectSelection MedicationOrder NutritionRequest
        ProcedureRequest ProcessRequest ProcessResponse ReferralRequest Sequence ServiceDefinition
        AllergyIntolerance.assertedDate Condition.assertedDate Condition.context Condition.dateRecorded
        Condition.patient Consent.except DiagnosticReport.codedDiagnosis DiagnosticReport.context
        Encounter.incomingReferral FamilyMemberHistory.notDone Immunization.explanation Immunization.notGiven
        MedicationAdministration.notGiven MedicationAdministration.prescription MedicationAdministration.wasNotGiven
        MedicationDispense.notDone MedicationRequest.context MedicationStatement.patient MedicationStatement.taken
        MedicationStatement.wasNotTaken Observation.comment Observation.context Observation.related Patient.animal
        Patient.careProvider Procedure.context Procedure.notDone Procedure.notPerformed QuestionnaireResponse.context
        QuestionnaireResponse.parent
        """.split()
    ),
}
# Elements that both releases have: the JSON type tells which one wrote them.
_ELSEWHERE_TYPED: Mapping[str, tuple[type, str]] = {
    "AllergyIntolerance.clinicalStatus": (str, _OLDER),
    "AllergyIntolerance.type": (dict, _R5),
    "Condition.clinicalStatus": (str, _OLDER),
    "Condition.verificationStatus": (str, _OLDER),
    "Encounter.class": (list, _R5),
}
_PROFILE = re.compile(r"http://hl7\.org/fhir/(?:(\d+\.\d+)/)?StructureDefinition/[^|]*(?:\|(\d+\.\d+)[\w.\-]*)?")
_THIS, _NEAR = "4.0", ("4.1", "4.3")  # R4B differs from R4 in no resource that is read here


@cache
def _types() -> frozenset[str]:
    return frozenset(RESOURCE_TYPES)


def _unknown_type(kind: str, at: str) -> BadInput:
    release = next((name for name, marks in _ELSEWHERE.items() if kind in marks), "")
    said = f"a resourceType of FHIR {release}, not of R4" if release else "not a resourceType of FHIR R4"
    return BadInput(f"{said}: send the record as FHIR R4 (4.0.1)", at)


def _refuse_other_releases(entries: list[Entry], problems: list[Problem]) -> None:
    for entry in entries:
        kind = entry.type
        for name, value in entry.resource.items():
            element = f"{kind}.{name}"
            typed = _ELSEWHERE_TYPED.get(element)
            release = typed[1] if typed and isinstance(value, typed[0]) else ""
            release = release or next((r for r, marks in _ELSEWHERE.items() if element in marks), "")
            if release:
                raise BadInput(f"FHIR {release}, not R4: send the record as FHIR R4 (4.0.1)", f"{entry.at}.{name}")
        for i, profile in enumerate(_listed(_mapped(entry.resource.get("meta")).get("profile"))):
            claim = _PROFILE.fullmatch(profile) if isinstance(profile, str) else None
            version = (claim[1] or claim[2]) if claim else None
            if version in _NEAR:
                said = "claims FHIR R4B, read as R4"
                problems.append(Problem("other-release", said, f"{entry.at}.meta.profile[{i}]"))
            elif version and version != _THIS:
                said = f"a profile of FHIR {version}, not R4: send the record as FHIR R4 (4.0.1)"
                raise BadInput(said, f"{entry.at}.meta.profile[{i}]")


# --- one resource that cannot be used ---------------------------------------------------------------------------------

_OF_ENTRY = re.compile(r"(Bundle\.entry\[(\d+)\]\.resource)(?:\.|\Z)")
_WRONG_TYPE = (
    "expected ",
    "only one type may be given",
    "null is not allowed in an array",
    "a resource needs a resourceType",
    "not a FHIR R4 resource type",
    "nested too deeply",
)
_UNTIDY = (
    "required element missing",
    "unknown element",
    "null is not allowed",
    "an empty string is not allowed",
    "an empty array is not allowed",
)
_INVALID = re.compile(r"is (not a (?:valid \w+|FHIR R4 resource type))[^\"]*\Z")
_PLACE = re.compile(r"[\w.\[\]]{1,500}")


def _without_values(message: str) -> str:
    """Only what the validator says of its own; it also repeats the value it complains about.

    >>> _without_values('"1985-13-01" is not a valid date')
    'not a valid date'
    """
    if message.startswith(_WRONG_TYPE + _UNTIDY):
        return message
    invalid = _INVALID.search(message)
    return invalid[1] if invalid else "not as FHIR R4 says"


def _unusable(raw: bytes, problems: list[Problem]) -> dict[str, str]:
    """Why a resource must not be interpreted, by its place; what is merely untidy goes to `problems`.

    The structure of R4 is fhirkit's knowledge; what to do about a deviation is decided here.
    """
    why: dict[str, str] = {}
    for issue in validate(raw):
        entry = _OF_ENTRY.match(issue.path)
        said = _without_values(issue.message)
        wrong = said.startswith(_WRONG_TYPE)
        place = issue.path if _PLACE.fullmatch(issue.path) else entry[1] if entry else "Bundle"
        if not wrong:
            problems.append(Problem("invalid", said, place))
        elif entry:
            why[entry[1]] = f"{said} at {place}"
            problems.append(Problem("malformed", f"{said}: this resource is not read", place, blocks=True))
        else:
            raise BadInput(f"{said}: write it as FHIR R4 says", place)
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
    for at, node in _walk(entry.resource, entry.at):
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
    return "/".join(parts) if len(parts) == 2 and _ID.fullmatch(parts[1]) and parts[0] in _types() else ""


def _root(url: str) -> str:
    """The server address of a full URL: what comes before `Type/id`; empty when it is not a web address."""
    local = _local(url) if url.startswith(_WEB) else ""
    return url.removesuffix(local) if local else ""


def _contained(name: str, base: Entry | None) -> Entry | None:
    holder = (base.container or base) if base else None
    if holder is None or not name:
        return holder
    for i, resource in enumerate(_listed(holder.resource.get("contained"))):
        if isinstance(resource, dict) and resource.get("id") == name and resource.get("resourceType") in _types():
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
    names = frozenset(filter(None, (_identified(x) for x in _listed(patient.resource.get("identifier")))))
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
    system, value = (_mapped(identifier).get(key, "") for key in ("system", "value"))
    return (system, value) if isinstance(system, str) and isinstance(value, str) and value else None


def _about(entry: Entry, patient: Entry, names: _Names, bundle: Bundle, problems: list[Problem]) -> Entry:
    """The entry, marked if it is not, or not provably, about the patient; another patient is refused."""

    def aside(code: Code, said: str, at: str, *, blocks: bool) -> Entry:
        problems.append(Problem(code, f"{said}: this resource is not read", at, entry.reference, blocks=blocks))
        return entry if entry.uninterpretable else replace(entry, uninterpretable=said)

    name = next((n for n in _ABOUT if entry.resource.get(n)), "")
    at = f"{entry.at}.{name}"
    subjects = [_mapped(x) for x in _as_list(entry.resource.get(name))] if name else []
    verdicts = {_whose(x, entry, patient, names, bundle, at) for x in subjects}
    if entry.type in _NEEDS_PERSON and verdicts <= {"unsaid"}:
        said = "names no person: read as about the one Patient of this Bundle"
        problems.append(Problem("no-subject", said, entry.at, entry.reference))
    elif "unproven" in verdicts:
        return aside("unproven-subject", "it cannot be shown that this is about the Patient", at, blocks=True)
    elif verdicts and "patient" not in verdicts and verdicts != {"unsaid"}:
        return aside("not-about-person", "about something other than the Patient", at, blocks=False)
    for i, focus in enumerate(_listed(entry.resource.get("focus")) if entry.type == "Observation" else ()):
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
    own = [_mapped(x).get("id") for x in _listed(entry.resource.get("contained"))]
    inside = {"", *(name for name in own if isinstance(name, str))}

    def nowhere(reference: str) -> bool:
        return reference[1:] not in inside if reference.startswith("#") else not bundle.resolve(reference, entry)

    if not any(nowhere(reference) for reference in _inner_references(entry.resource)):
        return
    for at, node in _walk(entry.resource, entry.at):
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
