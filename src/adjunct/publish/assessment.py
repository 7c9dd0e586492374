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

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adjunct.assessment.exposure import in_words
from adjunct.publish.frame import (
    ACT_CODE,
    KNOWLEDGE,
    RESULT,
    Frame,
    Json,
    coding,
    mapping,
    outside,
    said,
    sequence,
)

FLAG_CATEGORY = "http://terminology.hl7.org/CodeSystem/flag-category"
STATEMENT_CATEGORY = "http://terminology.hl7.org/CodeSystem/medication-statement-category"
CONCEPT = "urn:adjunct:concept"
SUBSTANCE = "urn:adjunct:substance"
RULE = "urn:adjunct:rule"
ACTION = "urn:adjunct:action"
QUESTION = "urn:adjunct:question"
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
_ITEM = re.compile(r"items\[\d+\]")
_CODE = re.compile(r"[!-~]+(?: [!-~]+)*")
_BETWEEN = re.compile(r"[\s|]")


def to_fhir(
    result: Mapping[str, Any], *, now_iso: str, patient_reference: str | None, software_version: str | None = None
) -> Json:
    """The assessment (its JSON, parsed) as a collection Bundle.

    `now_iso` is when it was made, with an offset. References to the record stay as they were given; everything else
    that is referred to is in the Bundle. Without `patient_reference` the subject is named in words only.
    """
    knowledge = mapping(result.get("knowledge"))
    frame = Frame.of(
        result,
        now=now_iso,
        patient=patient_reference,
        knowledge=said(knowledge.get("version")),
        as_of=said(knowledge.get("as_of")),
        software=software_version,
    )
    return Publication(result, frame).bundle()


class Publication:
    """One assessment on its way into FHIR."""

    def __init__(self, result: Mapping[str, Any], frame: Frame) -> None:
        self.result, self.frame, self.now = result, frame, frame.now
        self.start, self.ref, self.patient = frame.start, frame.ref, frame.patient
        self.question = said(result.get("question")) or "none"
        self.phase = said(result.get("phase"))
        self.findings = [mapping(f) for f in sequence(result.get("findings"))]
        self.gaps = [mapping(g) for g in sequence(result.get("gaps"))]
        self.items = {f"items[{n}]": mapping(i) for n, i in enumerate(sequence(result.get("items")))}

    def bundle(self) -> Json:
        made = [*self._items(), *self.issues(), *self._risks(), *self._flags(), self._guidance()]
        inputs = [cited for cited, _ in self._evidence(self.findings) if "display" not in cited]
        return self.frame.bundle(made, inputs)

    def _cite(self, reference: object) -> Json:
        """A reference of the assessment: a statement in this Bundle, a resource of the record, or only its words."""
        named = said(reference)
        return self.ref(named) if named in self.items else outside(named)

    def _evidence(self, findings: Iterable[Mapping[str, Any]]) -> list[tuple[Json, str]]:
        """What the findings rest on, each reference once, with its value in words."""
        words: dict[str, list[str]] = {}
        cited: dict[str, Json] = {}
        for finding in findings:
            for because in map(mapping, sequence(finding.get("because"))):
                key = said(because.get("reference"))
                cited[key] = self._cite(key)
                value = _value(because)
                if value and value not in words.setdefault(key, []):
                    words[key].append(value)
        return [(cited[key], "; ".join(words.get(key, []))) for key in cited if cited[key]]

    # --- the resources ---

    def _items(self) -> Iterator[Json]:
        for role, item in self.items.items():
            text, status = said(item.get("text")), said(item.get("status"))
            if not text:
                continue
            substances = said(item.get("substance")).split("+")
            concept = {
                "text": text,
                "coding": [c for s in substances for c in coding(SUBSTANCE, s)],
            }
            if status == "allergy":
                yield self.start("AllergyIntolerance", role, f"Allergy or intolerance, as stated: {text}") | {
                    "code": concept,
                    "patient": self.patient,
                    "recordedDate": self.now,
                }
                continue
            yield self.start("MedicationStatement", role, f"As stated: {text}") | {
                "status": _STATEMENT_STATUS.get(status, "unknown"),
                "category": {"coding": [{"system": STATEMENT_CATEGORY, "code": "patientspecified"}]},
                "medicationCodeableConcept": concept,
                "subject": self.patient,
                "dateAsserted": self.now,
                "informationSource": self.patient if self.frame.has_patient else None,
                "dosage": [{"text": text}],
            }

    def issues(self) -> Iterator[Json]:
        for n, finding in enumerate(self.findings):
            title, evidence = _title(finding), self._evidence([finding])
            implicated = [cited for cited, _ in evidence]
            if not implicated:
                implicated = [{"display": said(s)} for s in sequence(finding.get("involves"))]
            severity = said(finding.get("severity"))
            yield self.start("DetectedIssue", _issue(n), f"{title}. {_detail(finding)}") | {
                "identifier": [{"system": RULE, "value": said(finding.get("rule"))}],
                "status": "preliminary",
                "code": _issue_code(finding),
                "severity": severity if severity in _SEVERITIES else None,
                "patient": self.patient if self.frame.has_patient else None,
                "identifiedDateTime": self.now,
                "author": self.ref("device"),
                "implicated": implicated,
                "evidence": [
                    {"code": [{"text": words}] if words else None, "detail": [cited]} for cited, words in evidence
                ],
                "detail": _detail(finding),
                "reference": next(_urls(finding), None),
            }

    def _risks(self) -> Iterator[Json]:
        """One for each kind of risk found, for a clinician to confirm."""
        for about in dict.fromkeys(said(f.get("about")) for f in self.findings if _is_risk(f)):
            found = [f for f in self.findings if _is_risk(f) and said(f.get("about")) == about]
            titles = "; ".join(_title(f) for f in found)
            yield self.start("RiskAssessment", f"risk:{about}", f"Risk to be confirmed by a clinician: {titles}") | {
                "status": "preliminary",
                "code": {"text": f"Risk: {about.replace('_', ' ')}"},
                "subject": self.patient,
                "occurrenceDateTime": self.now,
                "performer": self.ref("device"),
                "basis": [cited for cited, _ in self._evidence(found)],
                "prediction": [
                    {
                        "outcome": {"text": _title(f)},
                        "qualitativeRisk": _qualitative(said(f.get("severity"))),
                        "rationale": _detail(f),
                    }
                    for f in found
                ],
                "mitigation": " ".join(dict.fromkeys(" ".join([*_conditions(f), said(f.get("says"))]) for f in found)),
            }

    def _flags(self) -> Iterator[Json]:
        for n, finding in enumerate(self.findings):
            lasting = said(finding.get("severity")) == "high" and said(finding.get("action")) not in _OF_TODAY
            if not lasting or finding.get(
                "only_if"
            ):  # an alert that may be about another product is not a standing one
                continue
            title = _title(finding)
            category = "drug" if said(finding.get("kind")).startswith("pharmaco") else "safety"
            yield self.start("Flag", f"flag:{n}", title) | {
                "status": "active",
                "category": [{"coding": [{"system": FLAG_CATEGORY, "code": category, "display": category.title()}]}],
                "code": {"text": title, "coding": _rule_coding(finding)},
                "subject": self.patient,
                "period": {"start": self.now},
                "author": self.ref("device"),
            }

    def _guidance(self) -> Json:
        blocking = [g for g in self.gaps if g.get("blocks")]
        done = not blocking and self.result.get("complete") is True
        verdict = said(self.result.get("verdict"))
        words = f"{self.question}: {verdict}" + ("" if done else " (incomplete: data are missing)")
        parameters = [("verdict", "valueString", verdict), ("phase", "valueString", self.phase)]
        parameters = [(name, kind, value) for name, kind, value in parameters if value]
        outputs: list[Json] = [{"name": name, kind: value} for name, kind, value in parameters]
        outputs.append({"name": "complete", "valueBoolean": done})
        outputs += [{"name": "issue", "valueReference": self.ref(_issue(n))} for n, _ in enumerate(self.findings)]
        asks = [said(g.get("ask")) or said(g.get("why")) for g in self.gaps]
        return self.start("GuidanceResponse", "guidance", ". ".join([words, *asks])) | {
            "contained": [{"resourceType": "Parameters", "id": "outcome", "parameter": outputs}],
            "identifier": [{"system": RESULT, "value": str(self.frame.own)}],
            "moduleCanonical": f"{KNOWLEDGE}|{_BETWEEN.sub('-', self.frame.knowledge)}",
            "status": "success" if done else "data-required",
            "subject": self.patient,
            "occurrenceDateTime": self.now,
            "performer": self.ref("device"),
            "reasonCode": [{"coding": coding(QUESTION, self.question), "text": self.question}],
            "note": [{"text": line} for line in [*_contacts(self.result), *(_open(g) for g in self.gaps)]],
            "outputParameters": {"reference": "#outcome"},
            "dataRequirement": [_requirement(g) for g in blocking],
        }


# --- words and codes --------------------------------------------------------------------------------------------------


def _issue(n: int) -> str:
    return f"issue:{n}"


def _title(finding: Mapping[str, Any]) -> str:
    return said(finding.get("title")) or said(finding.get("id")) or "Finding without a title"


def _value(because: Mapping[str, Any]) -> str:
    """One piece of evidence in words: what, how much, when."""
    number, unit = because.get("value"), said(because.get("unit"))
    amount = (
        "" if number is None else f"{said(number)} {unit}".strip() if unit not in ("1", "{score}") else said(number)
    )
    at = said(because.get("at"))
    words = ": ".join(filter(None, (said(because.get("concept")), "" if number is None else amount)))
    return f"{words} ({at})" if at else words


def _detail(finding: Mapping[str, Any]) -> str:
    """All that a reader of the issue alone must know: on what it depends, what to do, how well that is known."""
    grade, status = said(finding.get("grade")) or "not given", said(finding.get("status")) or "proposed"
    action = said(finding.get("action"))
    sources, disputed = (
        "; ".join(_source(s) for s in map(mapping, sequence(finding.get(key)))) for key in ("sources", "disputed")
    )
    parts = [
        *_conditions(finding),
        said(finding.get("says")),
        said(finding.get("why")),
        *(said(in_words(pair)) for pair in map(mapping, sequence(finding.get("exposure"))) if pair),
        f"Action: {action}." if action else "",
        f"Evidence grade {grade}, {status}.",
        f"Sources: {sources}." if sources else "No source read.",
        f"Disputed by: {disputed}." if disputed else "",
    ]
    return " ".join(filter(None, parts))


def _conditions(finding: Mapping[str, Any]) -> Iterator[str]:
    """Which readings of an ambiguous entry a finding depends on: it must not be published as certain."""
    for dependence in map(mapping, sequence(finding.get("only_if"))):
        readings = " or ".join(said(reading) for reading in sequence(dependence.get("is")))
        yield f"Only if {said(dependence.get('reference'))} is {readings}:"


def _source(source: Mapping[str, Any]) -> str:
    unread = "not read by us" if source.get("read_as") == "not-read" else ""
    name = said(source.get("citation")) or said(source.get("id"))
    cited = ", ".join(filter(None, (name.rstrip("."), said(source.get("locator")), unread)))
    return ": ".join(filter(None, (cited, said(source.get("says")).rstrip("."))))


def _rule_coding(finding: Mapping[str, Any]) -> list[Json]:
    rule, _, version = said(finding.get("rule")).partition("@")
    return [c | {"version": version} for c in coding(RULE, rule)]


def _issue_code(finding: Mapping[str, Any]) -> Json:
    about, kind = said(finding.get("about")), said(finding.get("kind"))
    code = _ISSUE_BY_ABOUT.get(about) or _ISSUE_BY_KIND.get(kind)
    codes = [{"system": ACT_CODE, "code": code, "display": _ISSUE_DISPLAY[code]}] if code else []
    codes += coding(ACTION, said(finding.get("action"))) + _rule_coding(finding)
    return {"coding": codes, "text": _title(finding)}


def _is_risk(finding: Mapping[str, Any]) -> bool:
    return finding.get("about") in _RISKS or finding.get("kind") == "red-flag"


def _qualitative(severity: str) -> Json:
    """How grave it would be. HL7's risk-probability codes speak of likelihood, which nobody estimated here."""
    if severity not in _SEVERITIES:
        return {"text": "not graded"}
    words = f"{severity} severity; likelihood not estimated"
    return {"coding": [{"system": SEVERITY, "code": severity}], "text": words}


def _urls(finding: Mapping[str, Any]) -> Iterator[str]:
    for source in map(mapping, sequence(finding.get("sources"))):
        url, doi = said(source.get("url")), said(source.get("doi"))
        if re.fullmatch(r"https?://[!-~]+", url):
            yield url
        elif doi and re.fullmatch(r"10\.[!-~]+", doi):
            yield f"https://doi.org/{doi}"


def _open(gap: Mapping[str, Any]) -> str:
    lead = "Missing, and needed" if gap.get("blocks") else "Not known"
    return f"{lead}: " + " ".join(filter(None, (said(gap.get("why")), said(gap.get("ask"))))) if gap else ""


def _requirement(gap: Mapping[str, Any]) -> Json:
    """The datum a blocking gap asks for, as our concept; any resource may answer it, most often an Observation."""
    fact, ask = said(gap.get("fact")), said(gap.get("ask"))
    if _ITEM.fullmatch(fact) or fact in ("substance", "last_use", "reconciled"):
        return {
            "type": "MedicationStatement",
            "codeFilter": [{"path": "medication", "code": [{"display": ask or fact}]}],
        }
    coding = {"system": CONCEPT, "code": fact if _CODE.fullmatch(fact) else None, "display": ask or fact}
    return {"type": "Observation", "codeFilter": [{"path": "code", "code": [coding]}]}


def _contacts(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines to call, in the assessment's own words, which also say when one of them is out of date."""
    for contact in map(mapping, sequence(result.get("contacts"))):
        words = said(contact.get("text")) or ", ".join(
            filter(None, (said(contact.get(key)) for key in ("name", "contact", "hours", "as_of")))
        )
        if words:
            yield f"Contact: {words}"
