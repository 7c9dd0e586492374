"""An assessment as FHIR R4, for the record system that asked: one collection Bundle, nothing that was not concluded.

| in the assessment | becomes |
|---|---|
| a finding | DetectedIssue, `preliminary`: a clinician has not confirmed it yet |
| the question, its verdict and its gaps | GuidanceResponse, `data-required` while a blocking gap is open |
| findings of one risk (suicide, psychosis, mania, any red flag) | RiskAssessment in words, never a likelihood |
| a severe finding that outlasts the day and depends on no guess | Flag |
| a medicine, as the person wrote it | MedicationStatement, or AllergyIntolerance |
| the software, the knowledge, and who made what from what | Device, Library, Provenance |

Ids are derived from the content, so the same answer published twice is the same resources.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import metadata
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from adjunct.assessment.exposure import in_words
from adjunct.base import BadInput, instant

Json = dict[str, Any]

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
FLAG_CATEGORY = "http://terminology.hl7.org/CodeSystem/flag-category"
LIBRARY_TYPE = "http://terminology.hl7.org/CodeSystem/library-type"
STATEMENT_CATEGORY = "http://terminology.hl7.org/CodeSystem/medication-statement-category"
XHTML = "http://www.w3.org/1999/xhtml"
KNOWLEDGE = "urn:adjunct:knowledge"
CONCEPT = "urn:adjunct:concept"
SUBSTANCE = "urn:adjunct:substance"
RULE = "urn:adjunct:rule"
ACTION = "urn:adjunct:action"
QUESTION = "urn:adjunct:question"
RESULT = "urn:adjunct:result"
SEVERITY = "urn:adjunct:severity"

# HL7 v3-ActCode, the codes under ISSUE; what fits none of them carries our own code only (the binding allows it).
_ISSUE_DISPLAY = {
    "COND": "Condition Alert",
    "DACT": "drug action detected issue",
    "DRG": "Drug Interaction Alert",
    "DUPTHPY": "Duplicate Therapy Alert",
    "OBSA": "Observation Alert",
    "PREG": "Pregnancy Alert",
}
_ISSUE_BY_ABOUT = {"duplicate": "DUPTHPY", "pregnancy": "PREG", "attenuation": "DACT"}
_ISSUE_BY_KIND = {"pharmacodynamic": "DRG", "pharmacokinetic": "DRG", "condition": "COND", "red-flag": "OBSA"}
_RISKS = ("suicide", "psychosis", "mania")
_SEVERITIES = ("high", "moderate", "low")
_OF_TODAY = ("defer",)  # said about today, so it must not stand in the record tomorrow
_STATEMENT_STATUS = {
    "current": "active",
    "stopped": "stopped",
    "not-taken": "not-taken",
    "planned": "intended",
}
_LITERAL = re.compile(r"(?:https?://[!-~]+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INPUT = re.compile(rf"{_UUID.pattern}|Bundle\.entry\[\d+\]\.resource")  # how a Bundle without ids names its patient
_ITEM = re.compile(r"items\[\d+\]")
_CODE = re.compile(r"[!-~]+(?: [!-~]+)*")
_BETWEEN = re.compile(r"[\s|]")
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def to_fhir(
    result: Mapping[str, Any], *, now_iso: str, patient_reference: str | None, software_version: str | None = None
) -> Json:
    """The assessment (its JSON, parsed) as a collection Bundle.

    `now_iso` is when it was made, with an offset. References to the record stay as they were given; everything else
    that is referred to is in the Bundle. Without `patient_reference` the subject is named in words only.
    """
    instant(now_iso, "now_iso")
    if patient_reference is not None and not (_literal(patient_reference) or _INPUT.fullmatch(patient_reference)):
        raise BadInput('not a reference to a patient: write for example "Patient/123"', "patient_reference")
    software = software_version or _software_version()
    seed = json.dumps([result, now_iso, patient_reference, software], sort_keys=True, default=str, ensure_ascii=True)
    return _Publication(result, now_iso, patient_reference, software, uuid5(NAMESPACE_URL, f"{RESULT}:{seed}")).bundle()


def _software_version() -> str:
    try:
        return metadata.version("adjunct")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"


class _Publication:
    """One assessment on its way into FHIR: what every resource of it shares."""

    def __init__(self, result: Mapping[str, Any], now: str, patient: str | None, software: str, own: UUID) -> None:
        self.result, self.now, self.software, self.own = result, now, software, own
        told = _outside(patient or "")
        self.has_patient = bool(told) and "display" not in told
        self.patient = told if self.has_patient else {"type": "Patient", "display": "the person asked about"}
        knowledge = _mapping(result.get("knowledge"))
        self.knowledge = _said(knowledge.get("version")) or "unknown"
        self.as_of = _said(knowledge.get("as_of"))
        self.question = _said(result.get("question")) or "none"
        self.phase = _said(result.get("phase"))
        self.findings = [_mapping(f) for f in _sequence(result.get("findings"))]
        self.gaps = [_mapping(g) for g in _sequence(result.get("gaps"))]
        self.items = {f"items[{n}]": _mapping(i) for n, i in enumerate(_sequence(result.get("items")))}

    def bundle(self) -> Json:
        made = [*self._items(), *self._issues(), *self._risks(), *self._flags(), self._guidance()]
        made = [self._device(), self._library(), *made]
        made.append(self._provenance([self._here(r) for r in made if r["resourceType"] not in ("Device", "Library")]))
        return {
            "resourceType": "Bundle",
            "id": str(self.own),
            "type": "collection",
            "timestamp": self.now,
            "entry": [{"fullUrl": f"urn:uuid:{r['id']}", "resource": _clean(r)} for r in made],
        }

    # --- names and references ---

    def _id(self, role: str) -> str:
        return str(uuid5(self.own, role))

    def _ref(self, role: str) -> Json:
        return {"reference": f"urn:uuid:{self._id(role)}"}

    def _here(self, resource: Json) -> Json:
        return {"reference": f"urn:uuid:{resource['id']}"}

    def _start(self, kind: str, role: str, narrative: str) -> Json:
        div = f'<div xmlns="{XHTML}"><p>{escape(_printable(narrative))}</p></div>'
        return {"resourceType": kind, "id": self._id(role), "text": {"status": "generated", "div": div}}

    def _cite(self, reference: object) -> Json:
        """A reference of the assessment: a statement in this Bundle, a resource of the record, or only its words."""
        said = _said(reference)
        return self._ref(said) if said in self.items else _outside(said)

    def _evidence(self, findings: Iterable[Mapping[str, Any]]) -> list[tuple[Json, str]]:
        """What the findings rest on, each reference once, with its value in words."""
        words: dict[str, list[str]] = {}
        cited: dict[str, Json] = {}
        for finding in findings:
            for because in map(_mapping, _sequence(finding.get("because"))):
                key = _said(because.get("reference"))
                cited[key] = self._cite(key)
                said = _value(because)
                if said and said not in words.setdefault(key, []):
                    words[key].append(said)
        return [(cited[key], "; ".join(words.get(key, []))) for key in cited if cited[key]]

    # --- the resources ---

    def _device(self) -> Json:
        return self._start("Device", "device", f"Adjunct {self.software}, knowledge {self.knowledge}") | {
            "status": "active",
            "manufacturer": "Adjunct",
            "deviceName": [{"name": "Adjunct", "type": "model-name"}],
            "type": {"text": "Clinical decision support software"},
            "version": [
                {"type": {"text": "software"}, "value": self.software},
                {"type": {"text": "knowledge"}, "value": self.knowledge},
            ],
        }

    def _library(self) -> Json:
        words = f"Adjunct knowledge {self.knowledge}" + (f", as of {self.as_of}" if self.as_of else "")
        return self._start("Library", "library", words) | {
            "url": KNOWLEDGE,
            "version": self.knowledge,
            "name": "AdjunctKnowledge",
            "title": "Adjunct clinical knowledge",
            "status": "active",
            "type": {"coding": [{"system": LIBRARY_TYPE, "code": "logic-library"}]},
            "date": self.as_of,
        }

    def _items(self) -> Iterator[Json]:
        for role, item in self.items.items():
            text, status = _said(item.get("text")), _said(item.get("status"))
            if not text:
                continue
            substances = _said(item.get("substance")).split("+")
            concept = {
                "text": text,
                "coding": [coding for s in substances for coding in _coding(SUBSTANCE, s)],
            }
            if status == "allergy":
                yield self._start("AllergyIntolerance", role, f"Allergy or intolerance, as stated: {text}") | {
                    "code": concept,
                    "patient": self.patient,
                    "recordedDate": self.now,
                }
                continue
            yield self._start("MedicationStatement", role, f"As stated: {text}") | {
                "status": _STATEMENT_STATUS.get(status, "unknown"),
                "category": {"coding": [{"system": STATEMENT_CATEGORY, "code": "patientspecified"}]},
                "medicationCodeableConcept": concept,
                "subject": self.patient,
                "dateAsserted": self.now,
                "informationSource": self.patient if self.has_patient else None,
                "dosage": [{"text": text}],
            }

    def _issues(self) -> Iterator[Json]:
        for n, finding in enumerate(self.findings):
            title, evidence = _title(finding), self._evidence([finding])
            implicated = [cited for cited, _ in evidence]
            if not implicated:
                implicated = [{"display": _said(s)} for s in _sequence(finding.get("involves"))]
            severity = _said(finding.get("severity"))
            yield self._start("DetectedIssue", _issue(n), f"{title}. {_detail(finding)}") | {
                "identifier": [{"system": RULE, "value": _said(finding.get("rule"))}],
                "status": "preliminary",
                "code": _issue_code(finding),
                "severity": severity if severity in _SEVERITIES else None,
                "patient": self.patient if self.has_patient else None,
                "identifiedDateTime": self.now,
                "author": self._ref("device"),
                "implicated": implicated,
                "evidence": [
                    {"code": [{"text": words}] if words else None, "detail": [cited]} for cited, words in evidence
                ],
                "detail": _detail(finding),
                "reference": next(_urls(finding), None),
            }

    def _risks(self) -> Iterator[Json]:
        """One for each kind of risk found, for a clinician to confirm."""
        for about in dict.fromkeys(_said(f.get("about")) for f in self.findings if _is_risk(f)):
            found = [f for f in self.findings if _is_risk(f) and _said(f.get("about")) == about]
            titles = "; ".join(_title(f) for f in found)
            yield self._start("RiskAssessment", f"risk:{about}", f"Risk to be confirmed by a clinician: {titles}") | {
                "status": "preliminary",
                "code": {"text": f"Risk: {about.replace('_', ' ')}"},
                "subject": self.patient,
                "occurrenceDateTime": self.now,
                "performer": self._ref("device"),
                "basis": [cited for cited, _ in self._evidence(found)],
                "prediction": [
                    {
                        "outcome": {"text": _title(f)},
                        "qualitativeRisk": _qualitative(_said(f.get("severity"))),
                        "rationale": _detail(f),
                    }
                    for f in found
                ],
                "mitigation": " ".join(dict.fromkeys(" ".join([*_conditions(f), _said(f.get("says"))]) for f in found)),
            }

    def _flags(self) -> Iterator[Json]:
        for n, finding in enumerate(self.findings):
            lasting = _said(finding.get("severity")) == "high" and _said(finding.get("action")) not in _OF_TODAY
            if not lasting or finding.get(
                "only_if"
            ):  # an alert that may be about another product is not a standing one
                continue
            title = _title(finding)
            category = "drug" if _said(finding.get("kind")).startswith("pharmaco") else "safety"
            yield self._start("Flag", f"flag:{n}", title) | {
                "status": "active",
                "category": [{"coding": [{"system": FLAG_CATEGORY, "code": category, "display": category.title()}]}],
                "code": {"text": title, "coding": _rule_coding(finding)},
                "subject": self.patient,
                "period": {"start": self.now},
                "author": self._ref("device"),
            }

    def _guidance(self) -> Json:
        blocking = [g for g in self.gaps if g.get("blocks")]
        done = not blocking and self.result.get("complete") is True
        verdict = _said(self.result.get("verdict"))
        words = f"{self.question}: {verdict}" + ("" if done else " (incomplete: data are missing)")
        parameters = [("verdict", "valueString", verdict), ("phase", "valueString", self.phase)]
        parameters = [(name, kind, value) for name, kind, value in parameters if value]
        outputs: list[Json] = [{"name": name, kind: value} for name, kind, value in parameters]
        outputs.append({"name": "complete", "valueBoolean": done})
        outputs += [{"name": "issue", "valueReference": self._ref(_issue(n))} for n, _ in enumerate(self.findings)]
        asks = [_said(g.get("ask")) or _said(g.get("why")) for g in self.gaps]
        return self._start("GuidanceResponse", "guidance", ". ".join([words, *asks])) | {
            "contained": [{"resourceType": "Parameters", "id": "outcome", "parameter": outputs}],
            "identifier": [{"system": RESULT, "value": str(self.own)}],
            "moduleCanonical": f"{KNOWLEDGE}|{_BETWEEN.sub('-', self.knowledge)}",
            "status": "success" if done else "data-required",
            "subject": self.patient,
            "occurrenceDateTime": self.now,
            "performer": self._ref("device"),
            "reasonCode": [{"coding": _coding(QUESTION, self.question), "text": self.question}],
            "note": [{"text": line} for line in [*_contacts(self.result), *(_open(g) for g in self.gaps)]],
            "outputParameters": {"reference": "#outcome"},
            "dataRequirement": [_requirement(g) for g in blocking],
        }

    def _provenance(self, targets: Sequence[Json]) -> Json:
        inputs = [cited for cited, _ in self._evidence(self.findings) if "display" not in cited]
        sources = [self._ref("library"), *inputs]
        return self._start("Provenance", "provenance", f"Made by Adjunct {self.software} at {self.now}") | {
            "target": list(targets),
            "occurredDateTime": self.now,
            "recorded": self.now,
            "agent": [
                {
                    "type": {"coding": [{"system": PARTICIPATION, "code": "DEV", "display": "device"}]},
                    "who": self._ref("device"),
                }
            ],
            "entity": [{"role": "source", "what": what} for what in sources],
        }


# --- words and codes --------------------------------------------------------------------------------------------------


def _issue(n: int) -> str:
    return f"issue:{n}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _printable(text: str) -> str:
    return _UNFIT.sub(" ", text).strip()


def _said(value: object) -> str:
    return "" if value is None else _printable(str(value))


def _coding(system: str, code: str) -> list[Json]:
    """The code in our own system, if it is one: what is only words stays in the text beside it."""
    return [{"system": system, "code": code}] if _CODE.fullmatch(code) else []


def _title(finding: Mapping[str, Any]) -> str:
    return _said(finding.get("title")) or _said(finding.get("id")) or "Finding without a title"


def _literal(reference: str) -> bool:
    return bool(_LITERAL.fullmatch(reference))


def _outside(reference: str) -> Json:
    """A resource that is not in this Bundle. A UUID that only the Bundle read gave it is a name, not an address."""
    if _literal(reference):
        return {"reference": reference}
    if _UUID.fullmatch(reference):
        return {"identifier": {"system": "urn:ietf:rfc:3986", "value": reference}}
    return {"display": reference} if reference else {}


def _value(because: Mapping[str, Any]) -> str:
    """One piece of evidence in words: what, how much, when."""
    number, unit = because.get("value"), _said(because.get("unit"))
    amount = (
        "" if number is None else f"{_said(number)} {unit}".strip() if unit not in ("1", "{score}") else _said(number)
    )
    at = _said(because.get("at"))
    said = ": ".join(filter(None, (_said(because.get("concept")), "" if number is None else amount)))
    return f"{said} ({at})" if at else said


def _detail(finding: Mapping[str, Any]) -> str:
    """All that a reader of the issue alone must know: on what it depends, what to do, how well that is known."""
    grade, status = _said(finding.get("grade")) or "not given", _said(finding.get("status")) or "proposed"
    action = _said(finding.get("action"))
    sources, disputed = (
        "; ".join(_source(s) for s in map(_mapping, _sequence(finding.get(key)))) for key in ("sources", "disputed")
    )
    parts = [
        *_conditions(finding),
        _said(finding.get("says")),
        _said(finding.get("why")),
        *(_said(in_words(pair)) for pair in map(_mapping, _sequence(finding.get("exposure"))) if pair),
        f"Action: {action}." if action else "",
        f"Evidence grade {grade}, {status}.",
        f"Sources: {sources}." if sources else "No source read.",
        f"Disputed by: {disputed}." if disputed else "",
    ]
    return " ".join(filter(None, parts))


def _conditions(finding: Mapping[str, Any]) -> Iterator[str]:
    """Which readings of an ambiguous entry a finding depends on: it must not be published as certain."""
    for dependence in map(_mapping, _sequence(finding.get("only_if"))):
        readings = " or ".join(_said(reading) for reading in _sequence(dependence.get("is")))
        yield f"Only if {_said(dependence.get('reference'))} is {readings}:"


def _source(source: Mapping[str, Any]) -> str:
    unread = "not read by us" if source.get("read_as") == "not-read" else ""
    name = _said(source.get("citation")) or _said(source.get("id"))
    cited = ", ".join(filter(None, (name.rstrip("."), _said(source.get("locator")), unread)))
    return ": ".join(filter(None, (cited, _said(source.get("says")).rstrip("."))))


def _rule_coding(finding: Mapping[str, Any]) -> list[Json]:
    rule, _, version = _said(finding.get("rule")).partition("@")
    return [coding | {"version": version} for coding in _coding(RULE, rule)]


def _issue_code(finding: Mapping[str, Any]) -> Json:
    about, kind = _said(finding.get("about")), _said(finding.get("kind"))
    code = _ISSUE_BY_ABOUT.get(about) or _ISSUE_BY_KIND.get(kind)
    coding = [{"system": ACT_CODE, "code": code, "display": _ISSUE_DISPLAY[code]}] if code else []
    coding += _coding(ACTION, _said(finding.get("action"))) + _rule_coding(finding)
    return {"coding": coding, "text": _title(finding)}


def _is_risk(finding: Mapping[str, Any]) -> bool:
    return finding.get("about") in _RISKS or finding.get("kind") == "red-flag"


def _qualitative(severity: str) -> Json:
    """How grave it would be. HL7's risk-probability codes speak of likelihood, which nobody estimated here."""
    if severity not in _SEVERITIES:
        return {"text": "not graded"}
    said = f"{severity} severity; likelihood not estimated"
    return {"coding": [{"system": SEVERITY, "code": severity}], "text": said}


def _urls(finding: Mapping[str, Any]) -> Iterator[str]:
    for source in map(_mapping, _sequence(finding.get("sources"))):
        url, doi = _said(source.get("url")), _said(source.get("doi"))
        if re.fullmatch(r"https?://[!-~]+", url):
            yield url
        elif doi and re.fullmatch(r"10\.[!-~]+", doi):
            yield f"https://doi.org/{doi}"


def _open(gap: Mapping[str, Any]) -> str:
    lead = "Missing, and needed" if gap.get("blocks") else "Not known"
    return f"{lead}: " + " ".join(filter(None, (_said(gap.get("why")), _said(gap.get("ask"))))) if gap else ""


def _requirement(gap: Mapping[str, Any]) -> Json:
    """The datum a blocking gap asks for, as our concept; any resource may answer it, most often an Observation."""
    fact, ask = _said(gap.get("fact")), _said(gap.get("ask"))
    if _ITEM.fullmatch(fact) or fact in ("substance", "last_use", "reconciled"):
        return {
            "type": "MedicationStatement",
            "codeFilter": [{"path": "medication", "code": [{"display": ask or fact}]}],
        }
    coding = {"system": CONCEPT, "code": fact if _CODE.fullmatch(fact) else None, "display": ask or fact}
    return {"type": "Observation", "codeFilter": [{"path": "code", "code": [coding]}]}


def _contacts(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines to call, in the assessment's own words, which also say when one of them is out of date."""
    for contact in map(_mapping, _sequence(result.get("contacts"))):
        said = _said(contact.get("text")) or ", ".join(
            filter(None, (_said(contact.get(key)) for key in ("name", "contact", "hours", "as_of")))
        )
        if said:
            yield f"Contact: {said}"


def _clean(value: Any) -> Any:
    """Without what FHIR forbids: empty strings, nulls, empty lists and objects."""
    if isinstance(value, Mapping):
        kept = {key: _clean(child) for key, child in value.items()}
        return {key: child for key, child in kept.items() if child not in (None, "", [], {})}
    if isinstance(value, list):
        return [child for child in map(_clean, value) if child not in (None, "", [], {})]
    return value
