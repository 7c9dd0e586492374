"""Whom to call, and what the law says: dated rows that expire, chosen by where the person is now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adjunct.assessment.result import Cited, Contact, Finding, Gap
from adjunct.base import Verdict
from adjunct.knowledge import Knowledge
from adjunct.knowledge.lines import Line, emergency_text, expired, lines_for
from adjunct.record import Record

__all__ = ["contacts", "emergency_text", "law", "lines_for"]


def contacts(record: Record, knowledge: Knowledge, findings: Sequence[Finding]) -> tuple[Contact, ...]:
    """The lines that belong to what was found. Country unknown: no country's number is a default."""
    wanted = dict.fromkeys(purpose for f in findings for purpose in _purposes(f))
    lines = [line for purpose in wanted for line in lines_for(purpose, record.country, knowledge)]
    return tuple(dict.fromkeys(contact(line, record.now.date(), record.country, knowledge) for line in lines))


def _purposes(finding: Finding) -> Iterable[str]:
    if finding.action in ("emergency", "contraindicated") or finding.verdict == Verdict.ESCALATE.name:
        yield "emergency"
    if finding.about == "suicide" and finding.action != "inform":
        yield "suicide"
    if (finding.action == "contraindicated" and finding.kind.startswith("pharmaco")) or finding.about == "toxicity":
        yield "poison"
    yield from finding.lines


def contact(line: Line, today: str, country: str, knowledge: Knowledge) -> Contact:
    """One line as it is shown to a person: with its date, and with the emergency number once it is past review."""
    texts = knowledge.wording["crisis"]
    old = expired(line["review_by"], today)
    emergency = line["for_whom"] == "emergency"
    key = "emergency_expired" if emergency and old else "emergency_line" if emergency else "expired" if old else "line"
    words = {k: line[k] for k in ("name", "contact", "hours", "as_of")} | {
        "emergency": emergency_text(country, knowledge)
    }
    text = knowledge.say(texts[key], **words)
    if line["verification"].startswith("U"):
        text = f"{text} {texts['unverified']}"
    return Contact(
        purpose=line["for_whom"],
        name=line["name"],
        contact=line["contact"],
        hours=line["hours"],
        as_of=line["as_of"],
        expired=old,
        text=text,
    )


def law(record: Record, knowledge: Knowledge) -> tuple[list[Finding], list[Gap]]:
    """What was read of the law on a kratom product where the person is; an expired row opens a gap instead."""
    place = record.jurisdiction or record.country
    if not place:
        return [], []
    taken = dict.fromkeys(s for i in record.intakes if not i.denied for ids in i.options.values() for s in ids)
    substances = dict.fromkeys(_law_row_name(s, knowledge) for s in taken if s in knowledge.sets.get("kratom", ()))
    asked = bool(record.jurisdiction)  # a country alone was given for whom to call
    findings, gaps = [], []
    for substance in substances:
        for code in dict.fromkeys((place, place.partition("-")[0])):
            row = next((r for r in _law_rows(knowledge) if r["code"] == code and r["substance"] == substance), None)
            fact = f"law ({code}, {substance})"
            texts = knowledge.wording["law"]
            if row is None:
                gaps.append(Gap(fact=fact, why=texts["missing"], ask=texts["look_up"], blocks=asked))
            elif expired(row["review_by"], record.now.date()):
                why = texts["expired"].replace("{date}", row["reviewed"])
                gaps.append(Gap(fact=fact, why=why, ask=texts["look_up"], blocks=asked))
            else:
                findings.append(_law_finding(row, substance, knowledge))
    return findings, gaps


def _law_row_name(substance: str, knowledge: Knowledge) -> str:
    """Rows exist for leaf and for concentrated 7-OH; an extract falls under leaf, other alkaloids under 7-OH."""
    concentrate = substance in knowledge.sets.get("kratom-concentrate", ())
    return "7-hydroxymitragynine" if concentrate else "kratom-leaf"


def _law_rows(knowledge: Knowledge) -> Iterable[Line]:
    return (r for r in knowledge.content["jurisdictions"] if r["topic"] == "legal-status")


def _law_finding(row: Line, substance: str, knowledge: Knowledge) -> Finding:
    texts = knowledge.wording["law"]
    head, _, detail = row["status"].replace(" (", ":").rstrip(")").partition(":")
    words = {"name": row["name"], "detail": detail, "instrument": row["instrument"], "reviewed": row["reviewed"]}
    if row["code"] == "US" and substance == "7-hydroxymitragynine":
        status = knowledge.say(texts["seven_oh_us"], notice_date=row["as_of"], **words)
    else:
        status = knowledge.say(texts[head], **words)
    says = f"{knowledge.say(texts['introduction'], as_of=row['as_of'], **words)} {status}"
    sources = [knowledge.sources[s] for s in row["source"].split(";") if s in knowledge.sources]
    return Finding(
        id=f"law-{row['code'].lower()}-{substance}",
        title=f"Law on {knowledge.substances[substance].name} in {row['name']}",
        severity="low",
        action="inform",
        kind="legal",
        about="legal",
        urgency="routine",
        involves=(substance,),
        says=says,
        tell=f"{says} {texts['never_reported']} {texts['travel']}",
        why=row["notes"],
        grade="D",
        status="reported",
        certainty=f"{row['confidence']}; {knowledge.wording['certainty']['status']['reported']}",
        sources=tuple(Cited(id=s.id, citation=s.citation, read_as=s.read_as, url=s.url) for s in sources),
        disputed=(),
        because=(),
        rule="law@" + row["reviewed"],
        verdict=Verdict.ELIGIBLE.name,
    )
