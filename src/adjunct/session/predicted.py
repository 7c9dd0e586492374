"""What the doses of today should lead to in the blood, by published models: context beside the vital signs.

A prediction never raises or clears an alarm, opens the gate, or shortens a stay; nothing in this room reads one.
"""

from __future__ import annotations

from dataclasses import dataclass

from adjunct.base import BadInput, convert
from adjunct.knowledge import Knowledge
from adjunct.pharmacology.simulation import simulate
from adjunct.pharmacology.simulation.regimen import Administration
from adjunct.session import pump
from adjunct.session.model import State

SAYS = "Predicted from published models for the doses recorded so far. Not measured; it decides nothing."
PEOPLE = "The band holds most people of the study."
MODELS = "The band spans the typical person of each model; how much people differ was not published."


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Concentration in plasma over time. `low` and `high` are None where one model speaks and gives no spread.

    Without any point, `says` holds the reason: nothing given yet, or no published model of this person and route.
    """

    substance: str
    unit: str = ""
    t_ms: tuple[int, ...] = ()
    typical: tuple[float, ...] = ()
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    models: tuple[str, ...] = ()
    says: str
    predicted: bool = True  # so that no reader of its JSON can take it for a measurement


def predicted(state: State, knowledge: Knowledge, *, now: int, until: int, age_a: float | None = None) -> Curve:
    """The curve from the first of the dose to `until`, if nothing more is given after `now`.

    The weight is the one that the dose was prepared with. Pauses and changes of rate are those of the record.
    """
    substance, route = state.treatment.partition("-")[::2]
    given, start = given_so_far(state, now), state.dose.first
    if start is None or not given:
        return Curve(substance=substance, says="Nothing has been given yet.")
    try:
        found = simulate(
            knowledge,
            substance,
            route=route,
            plan=given,
            weight_kg=(state.dose.prepared or {}).get("weight"),
            age_a=age_a,
            hours=convert(max(until, now) - start, "ms", "h"),
        )
    except BadInput as error:
        return Curve(substance=substance, says=f"No prediction: {error}")
    parent = found.analytes[substance].curve
    people = parent.p5 is not None
    return Curve(
        substance=substance,
        unit=parent.unit,
        t_ms=tuple(start + round(convert(hour, "h", "ms")) for hour in parent.time_h),
        typical=parent.typical,
        low=parent.p5 if people else parent.low,
        high=parent.p95 if people else parent.high,
        models=tuple(m.id for m in found.models),
        says=f"{SAYS} {PEOPLE if people else MODELS if parent.low is not None else ''}".strip(),
    )


def given_so_far(state: State, now: int) -> tuple[Administration, ...]:
    """The parts of the dose as they went in, in hours from the first, with what the pump has delivered by `now`."""
    dose = state.dose
    if dose.first is None:
        return ()
    parts = [(g.at, g.until - g.at, g.mg) for g in dose.given if g.at <= now]
    if running := pump.running_mg(dose, now):
        parts.append((dose.since, min(now, pump.ends(dose) or now) - dose.since, running))
    return tuple(
        Administration(convert(at - dose.first, "ms", "h"), mg, convert(length, "ms", "h"), part=number)
        for number, (at, length, mg) in enumerate(sorted(parts))
    )
