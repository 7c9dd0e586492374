"""How fast a treatment day is folded, beside folding the whole log anew for every event that arrives."""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from statistics import mean

from adjunct.base import MS_PER_SECOND
from adjunct.knowledge import Knowledge
from adjunct.session import Day, Event, History, Shape, State, advance, read_items
from adjunct.session.alarms import standing

HOURS, REPLAYED, CHAIRS, LATE_S = 12, 100_000, 200, 600
START = datetime(2027, 1, 11, 7, 0, tzinfo=timezone(timedelta(hours=1)))


def main() -> None:
    gc.set_threshold(200_000)  # as the commands do
    knowledge = Knowledge.load()
    day, shape = Day.of(knowledge), Shape.of(knowledge)
    line(f"a log of {REPLAYED} events read and folded", replayed(day, shape), "s", limit=2)
    text = [line_.encode() for line_ in log(HOURS * 3600)]
    events = [e for e in read_items(text, shape) if isinstance(e, Event)]
    assert len(events) == len(text)
    print(f"A session of {HOURS} h, a monitor that sends four measures a second, {len(events)} events:")
    history = History(day)
    took = sorted(timed(lambda e=event: history.add(e)) for event in events)
    line("an event in order, mean", mean(took) * 1e6, "us")
    line("an event in order, p99", took[len(took) * 99 // 100] * 1e3, "ms", limit=1)
    late = [events[-1]._replace(id=f"late-{n}", at=events[-1].at - (LATE_S + n) * MS_PER_SECOND) for n in range(20)]
    line(
        "an event ten minutes late, worst of 20",
        max(timed(lambda e=e: history.add(e)) for e in late) * 1e3,
        "ms",
        limit=20,
    )
    anew = timed(lambda: folded(events, day))
    line("the same by folding the whole log anew", anew * 1e3, "ms")
    line("ratio to folding anew, in order", anew / mean(took), "x")

    chairs = [History(day) for _ in range(CHAIRS)]
    for chair in chairs:
        for event in events[:60]:
            chair.add(event)
    now = events[60].at

    def second() -> None:
        for number, chair in enumerate(chairs):
            chair.add(events[60]._replace(id=f"s{number}"))
            standing(chair.state, now, day.table)

    line(f"{CHAIRS} chairs, one second of four measures each, of a core", timed(second) * 100, "%", limit=100)


def log(seconds: int) -> list[str]:
    """One infusion with a value of every measure a second."""
    dice = random.Random(1)

    def event(
        name: str, second: float, kind: str, data: dict[str, object], by: str = "nurse", source: str = "chair"
    ) -> str:
        at = (START + timedelta(seconds=second)).isoformat()
        return json.dumps(
            {"id": name, "at": at, "received": at, "type": kind, "by": by, "source": source, "data": data}
        )

    prepared = {
        "substance": "ketamine",
        "dose": 35,
        "prescriber": "Dr A",
        "concentration": 0.7,
        "volume": 50,
        "rate": 75,
    }
    lines = [
        event("a", 0, "checked-in", {"patient": "Patient/1", "treatment": "ketamine-iv"}),
        event("b", 1, "device-assigned", {"device": "monitor-1"}),
        event("c", 2, "consent", {"confirmed": True}),
        event("d", 3, "vitals", {"systolic": 120, "diastolic": 78, "heart_rate": 70, "spo2": 98, "resp_rate": 14}),
        event("e", 4, "dose-prepared", prepared),
        event(
            "f", 5, "dose-checked", {"prepared": "e", "agrees": True, "dose": 35, "volume": 50, "rate": 75}, by="second"
        ),
        event("g", 6, "infusion-started", {"rate": 75, "concentration": 0.7, "volume": 50}),
    ]
    for n in range(seconds):
        values: dict[str, object] = {
            "heart_rate": 70 + dice.randint(-5, 5),
            "spo2": 97 + dice.randint(-1, 1),
            "resp_rate": 14 + dice.randint(-1, 1),
            "temperature": 36.7,
        }
        lines.append(event(f"m{n:06d}", 7 + n, "vitals", values, by="monitor-1", source="monitor-1"))
    return lines


def folded(events: list[Event], day: Day) -> State:
    state = State()
    for event in events:
        state = advance(state, event, day)
    return state


def replayed(day: Day, shape: Shape) -> float:
    """Seconds for a whole log; first of all, while nothing else fills the memory."""
    lines, history = [line_.encode() for line_ in log(REPLAYED - 7)], History(day)

    def run() -> None:
        for item in read_items(lines, shape):
            assert isinstance(item, Event)
            history.add(item)

    return timed(run)


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def line(what: str, value: float, unit: str, *, limit: float | None = None) -> None:
    kept = "" if limit is None else f"   limit {limit:g} {unit}: {'kept' if value <= limit else 'MISSED'}"
    print(f"  {what:58}{value:10.3g} {unit}{kept}")


if __name__ == "__main__":
    main()
