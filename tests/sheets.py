"""Hand-made sheets and a hand-made plan for the tests of pages: every kind of part, and words that are a program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adjunct.base import FAR, instant
from adjunct.due import State, Step, Window
from adjunct.planning.model import CarePlan, Change, Fact, Override, Setting, Status, Told, Visit
from adjunct.sheet import Line, Part, Sheet

MADE = instant("2026-11-22T09:00:00Z")
ZONE = "America/Chicago"
DEFAULT = "this project's default, not a published rule"
LABEL = "Esketamine label, section 5.1"
HOSTILE = '<script>window.hacked = 1</script> #eval("1") *x* $a$ {{ 7 * 7 }} </style> \\u{41} & "q"'
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="80"><title>old</title>'
    '<defs><clipPath id="c"><rect width="400" height="80"/></clipPath></defs>'
    '<g clip-path="url(#c)"><rect width="200" height="20" fill="#0072b2"/><text x="5" y="60">Week</text></g></svg>'
)


def say(text: str, **more: Any) -> Line:
    return Line(text=text, **more)


EVERY_KIND = Sheet(
    id="aftercare",
    title="After your session",
    lead=(say("You have had a treatment today. Here is what helps until tomorrow."),),
    parts=(
        Part(title="Call now if", kind="warning", lines=(say("You have chest pain."), say(HOSTILE, strong=True))),
        Part(
            title="Whom to call",
            kind="contacts",
            lines=(
                say("15", strong=True),
                say("Lifeline: call or text 988, 24/7. Looked up 2026-11-20."),
                say("Text HOME to 741741. Practice: +1 312 555 0100, 08:00 to 17:00."),
            ),
        ),
        Part(
            title="Today",
            kind="checklist",
            lines=(
                say("Go home with the person you named.", source=LABEL),
                say("Drink a glass of water.", sure=DEFAULT, source="This project"),
                say("Do not drive until tomorrow.", source=LABEL),
            ),
        ),
        Part(title="This week", kind="steps", lines=(say("Sleep at your usual hour."), say("Write one thing down."))),
        Part(title="Good to know", kind="list", lines=(say("Tiredness is common."),)),
        Part(
            title="Your visits",
            kind="table",
            head=("Visit", "When", "Where"),
            rows=tuple((say(f"Visit {n}"), say("Monday 11 January 2027, 09:30"), say("Room 2")) for n in (1, 2)),
        ),
        Part(
            title="Your score",
            kind="picture",
            svg=SVG,
            alt="Your score fell from 20 to 9.",
            head=("Day", "Score"),
            rows=((say("1 January"), say("20")), (say("8 January"), say("9", sure=DEFAULT))),
        ),
        Part(title="Notes"),
    ),
    foot=(say("This page does not replace a talk with your team."),),
    meta={"made": "22 November 2026", "knowledge": "abc"},
)
SPANISH = Sheet(
    id="es",
    title="Después de la sesión",
    language="es",
    lead=(say("Aquí está lo que ayuda.", language="es"), say("Only in English.", source=LABEL)),
    parts=(Part(title="Llame ahora si", kind="warning", lines=(say("Le duele el pecho.", language="es"),)),),
)


def ms(text: str) -> int:
    return instant(text).ms


DAY = 86_400_000
FIRST = ms("2027-01-11T15:30:00Z")
FACT = Told(
    id="dose",
    title="Dose of the label",
    says="56 mg on day 1.",
    source="spravato-label",
    locator="2.2",
    status="reported",
)


def visit(number: int, state: State = State.WAITING) -> Visit:
    start = FIRST + (number - 1) * 3 * DAY
    return Visit(
        id=f"induction.{number}",
        number=number,
        phase="induction",
        kind="dose",
        title=f"Session {number}",
        window=Window(opens=start - DAY, due=start, overdue=start + DAY, closes=start + 2 * DAY),
        starts=start,
        ends=start + 7_200_000,
        state=state,
        observe_ms=7_200_000,
        facts=(FACT,),
        prerequisites=("consent",),
        measures=("phq9",),
    )


PLAN = CarePlan(
    at=MADE,
    zone=ZONE,
    language="en",
    patient="Patient/p",
    protocol="esketamine-trd",
    protocol_version=1,
    protocol_title="Esketamine nasal spray",
    version=2,
    status=Status.WAITING,
    verdict="DEFER",
    override=None,
    open=(
        Told(
            id="gap:bp",
            title="Measure blood pressure",
            says="No pressure is on record.",
            tell="We have to measure your blood pressure first.",
            owner="nurse",
        ),
    ),
    told=(),
    visits=(visit(1), visit(2)),
    steps=(
        Step(
            id="consent",
            what="consent",
            title="Talk about consent",
            domain="consent",
            owner="prescriber",
            window=Window(opens=FIRST - 7 * DAY, due=FIRST - DAY, overdue=FIRST, closes=FAR),
        ),
    ),
    missed=(),
    reviews=(
        replace(
            FACT,
            id="r",
            title="After the fourth week",
            says="Weigh benefit.",
            status="proposed",
            source="project-default",
        ),
    ),
    stops=(replace(FACT, id="s", title="Mania", says="Stop.", tell="If you feel far too well, we pause and talk."),),
    timeline=(
        Fact(
            id="w",
            title="Phenelzine washout",
            says="Two weeks.",
            tell="Your prescriber looks at phenelzine first.",
            opens=MADE.ms - 3 * DAY,
            closes=MADE.ms + 11 * DAY,
            source="project-default",
        ),
        Fact(id="o", title="Open", says="No end.", tell="", opens=None, closes=FAR, source="uncited"),
    ),
    settings=(
        Setting(
            id="bp",
            title="Pressure at which a dose waits",
            value=160,
            unit="mm[Hg]",
            least=140,
            most=180,
            choices=(),
            clinic=True,
            default=150,
            source="project-default",
            locator="",
            status="proposed",
        ),
    ),
    changes=(Change(id="c", at=MADE.ms, by="Dr. Adams", kind="hold", reason="holiday", after=1),),
    notes=(),
    knowledge={"version": "abc", "as_of": "2026-11-22"},
)
OVERRIDDEN = replace(PLAN, override=Override(by="Dr. Adams", reason="no other choice"), status=Status.ACTIVE)
