"""The page about the treatment day: its events, alarms, checks, gate, device codes and scenarios, and the fault table.

Everything comes from the knowledge files; the fault table was counted by whoever asks, who plays the sessions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from adjunct.documents.day_tables import alarms, cited, due, gate, kind_of, limit, readiness
from adjunct.knowledge import Knowledge
from adjunct.knowledge.book.markdown import anchor, code, link, page, plain, table
from adjunct.session.events import json_schema
from adjunct.session.model import Phase

SCHEMA = "session-event.schema.json"
SEED = 1
PHASES: Mapping[Phase, str] = {
    Phase.EXPECTED: "nobody has checked in; what arrives is flagged, and judged all the same",
    Phase.ARRIVED: "from `checked-in` on",
    Phase.DOSING: "from the first device, the injection or the start of the infusion; again after `dose-resumed`",
    Phase.PAUSED: "the pump stands still, or the next device waits",
    Phase.OBSERVING: "the dose is over, by `dose-stopped` or an injection; from here the gate may open",
    Phase.DISCHARGED: "signed, with the gate open; while it is not, `discharged` is flagged and changes nothing",
    Phase.LEFT: "walked out after a dose; never a discharge",
    Phase.TRANSFERRED: "taken to emergency care",
    Phase.NOT_TREATED: "no dose today",
}
KINDS = {
    "measure": "a number in the unit shown, or `{value, unit}` in any unit that measures the same",
    "amount": "as a measure",
    "score": "a whole or half number",
    "count": "a whole number from 1",
    "yes-no": "`true` or `false`; what was not asked is left out, never `false`",
    "instant": "ISO 8601 with its offset",
    "choice": "one of the words shown",
    "sign": "one of the signs of the alarms",
    "event": "the id of another event",
    "name": "a person",
    "text": "words",
    "data": "the data of the event that is corrected, whole",
}
ABOUT = (
    "What may happen on a treatment day, what raises an alarm, what is due when, and what must hold before somebody "
    "leaves. How it works: [How a treatment day runs](../explanation/how-a-treatment-day-runs.md). **No clinician has "
    "reviewed this page.** Most of its numbers are defaults of this project: *how sure* says which. It supports people "
    "at the chair and replaces none, and no monitor's own alarm."
)
ABOUT_FAULTS = (
    "{n} simulated infusions of invented people (seed {seed}): every danger under every fault of the wire. *At the "
    "first message*: an alarm of the danger stands as soon as a message has arrived from which it can be seen. *False "
    "alarms*: in the time before the danger, of level emergency or high, and milder ones; *no data* is counted apart, "
    "because it is true where messages are lost or late. **Simulated people are not patients**: the table shows that "
    "alarms keep their promise on a bad wire, not that their limits are right, nor how often a real floor is alarmed "
    "for nothing. `make torture` plays more of them."
)


class Counted(Protocol):
    """What was counted for one danger, or for one fault of the wire."""

    @property
    def title(self) -> str: ...
    @property
    def runs(self) -> int: ...
    @property
    def shown(self) -> int: ...
    @property
    def at_once(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def never(self) -> int: ...
    @property
    def hours(self) -> float: ...
    @property
    def grave(self) -> int: ...
    @property
    def mild(self) -> int: ...
    @property
    def silent(self) -> int: ...


class Faults(NamedTuple):
    """The fault table: the same sessions by danger and by fault, and from which seed they were drawn."""

    seed: int
    dangers: Sequence[Counted]
    troubles: Sequence[Counted]


def runs(knowledge: Knowledge) -> int:
    """How many sessions the page shows: as many as there are pairs of a danger and a fault."""
    content = knowledge.content["scenarios"]
    return len(content["danger"]) * len(content["trouble"])


def pages(knowledge: Knowledge, faults: Faults) -> dict[str, str]:
    """`treatment-day.md`, and the JSON Schema of an event."""
    schema = orjson.dumps(json_schema(knowledge), option=orjson.OPT_INDENT_2).decode() + "\n"
    return {"treatment-day.md": _page(knowledge, faults), SCHEMA: schema}


def _page(knowledge: Knowledge, faults: Faults) -> str:
    return page(
        "The treatment day",
        ABOUT,
        "## Phases",
        table(("phase", "what"), ((code(phase), says) for phase, says in PHASES.items())),
        *_events(knowledge),
        *alarms(knowledge),
        *due(knowledge),
        *readiness(knowledge),
        *gate(knowledge),
        *_devices(knowledge),
        *_papers(knowledge),
        "## Scenarios",
        "For `adjunct session simulate --scenario NAME`. Nobody in them is real.",
        table(
            ("name", "what happens"),
            (
                (code(s["id"]), plain(f"{s['title']}. {s['says']}"))
                for s in knowledge.content["scenarios"]["scenario"]
                if not s.get("hidden")
            ),
        ),
        *_faults(faults),
    )


# --- events -----------------------------------------------------------------------------------------------------------


def _events(knowledge: Knowledge) -> Iterator[str]:
    content = knowledge.content["events"]
    yield "## Events"
    yield (
        "A log is JSON Lines: one event a line, `{id, at, received, type, by, source, data}`, and `session` where it "
        "holds several. `at` is when it happened, `received` when it arrived, both with their offset; `by` who did or "
        "saw it, `source` what it came through. `data` has the fields below and no other. One JSON Schema holds all of "
        f"it: {link(code(SCHEMA), SCHEMA)}. Order is (`at`, `id`), whatever the order of arrival. What cannot be read "
        f"is kept aside with its reason; beyond {content['limit']['line']} bytes its beginning, length and hash "
        "are kept. A value outside the range in which it is believed is kept, judged and not counted."
    )
    yield table(("kind", "what it takes"), ((code(k), says) for k, says in KINDS.items()))
    for kind in content["type"]:
        moments = ", ".join(kind.get("moments", ())) or "any"
        more = f" Fields: the {link('items of ' + kind['of'], '', 'of', kind['of'])} below." if "of" in kind else ""
        yield f"### {anchor('event', kind['id'])}{code(kind['id'])}: {plain(kind['title'])}"
        yield f"{plain(kind['says'])} Moments: {moments}.{more}"
        if kind["field"]:
            rows = (
                (code(f["id"]), kind_of(f, knowledge), "yes" if f.get("required") else "", plain(f.get("says", "")))
                for f in kind["field"]
            )
            yield table(("field", "kind", "required", "what"), rows)


# --- monitors, papers, faults -----------------------------------------------------------------------------------------


def _devices(knowledge: Knowledge) -> Iterator[str]:
    data = knowledge.content["monitors"]
    yield "## What monitors send"
    yield (
        "HL7 v2 (`ORU^R01`, with or without MLLP framing) and FHIR R4 Observation. Codes of ISO/IEEE 11073-10101 (MDC) "
        "are listed here, LOINC codes at each concept of [What is read from a record](record.md). Where two codes of "
        "one measure come at once the first in this table is the reading."
    )
    yield table(
        ("measure", "code", "name", "place", "how sure"),
        ((code(c["measure"]), code(c["code"]), code(c["name"]), *cited(c, knowledge)) for c in data["code"]),
    )
    yield table(
        ("unit as sent", "read as"),
        ((code(" ".join(filter(None, (u.get("code"), u["name"])))), code(u["unit"])) for u in data["unit"]),
    )
    yield "Besides these, UCUM and every spelling that Adjunct reads. An unknown unit is kept aside, never guessed."
    yield table(
        ("the value", "HL7 v2 status (OBX-11)", "FHIR status", "place", "how sure"),
        ((s["means"], _codes(s["hl7"]), _codes(s["fhir"]), *cited(s, knowledge)) for s in data["said"]),
    )
    yield table(
        ("the value", "flag (OBX-8)", "place", "how sure"),
        ((f["means"], _codes(f["hl7"]), *cited(f, knowledge)) for f in data["flag"]),
    )
    yield f"No value at all: {_codes(data['absent']['values'])}."
    yield table(
        ("event of the monitor", "code", "what it does", "place", "how sure"),
        (
            (plain(a["says"]), code(f"{a['code']} {a['name']}"), _event_of(a), *cited(a, knowledge))
            for a in data["alert"]
        ),
    )


def _codes(values: Iterable[str]) -> str:
    return ", ".join(code(v) if v else "empty" for v in values)


def _event_of(alert: Mapping[str, Any]) -> str:
    if "value" in alert:
        return f"{code(alert['measure'])} is {alert['value']}"
    return f"no {code(alert['measure'])} from it" if "measure" in alert else "noted"


def _papers(knowledge: Knowledge) -> Iterator[str]:
    yield "## Forms and the ledger"
    yield table(
        ("form", "what", "deadline", "required fields", "place", "how sure"),
        (
            (
                code(f["id"]),
                plain(f"{f['title']}. {f['says']}"),
                limit(f["deadline"], knowledge) if "deadline" in f else "",
                str(sum(bool(x.get("required")) for x in f["field"])),
                *cited(f, knowledge),
            )
            for f in knowledge.content["forms"]["form"]
        ),
    )
    yield "Entries of the controlled-drug ledger. Each needs two different names, a product and a lot."
    yield table(
        ("kind", "what", "fields", "may have"),
        (
            (code(e["id"]), plain(e["says"]), _codes(e["needs"]), _codes(e.get("may", ())))
            for e in knowledge.content["stock"]["entry"]
        ),
    )


def _faults(faults: Faults) -> Iterator[str]:
    total = sum(row.runs for row in faults.dangers)
    missed = sum(row.late + row.never for row in faults.dangers)
    hours, grave = sum(row.hours for row in faults.dangers), sum(row.grave for row in faults.dangers)
    yield "## The fault table"
    yield ABOUT_FAULTS.format(n=total, seed=faults.seed)
    yield (
        f"Dangers whose alarm came late or never: **{missed}**. False alarms of level emergency or high: **{grave}** "
        f"in {hours:.1f} hours."
    )
    yield "### By danger"
    yield _counted("danger", faults.dangers)
    yield "### By fault of the wire"
    yield _counted("messages", faults.troubles)


def _counted(of: str, rows: Sequence[Counted]) -> str:
    heads = (
        of,
        "sessions",
        "danger seen in a message",
        "alarm at that message",
        "late",
        "never",
        "hours without danger",
    )
    return table(
        (*heads, "grave false alarms an hour", "mild an hour", "no data an hour"),
        (
            (
                plain(r.title),
                *map(str, (r.runs, r.shown, r.at_once, r.late, r.never)),
                f"{r.hours:.1f}",
                *(f"{n / r.hours:.1f}" if r.hours else "" for n in (r.grave, r.mild, r.silent)),
            )
            for r in rows
        ),
    )
