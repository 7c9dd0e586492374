"""The day on a terminal: the worst alarm is seen on any screen, one line a change elsewhere, words stay words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from itertools import repeat, takewhile

import pytest
from rich.console import Console

import adjunct
from adjunct.knowledge import Knowledge
from adjunct.session.model import Held
from adjunct.session.stock import Ledger, Lot
from adjunct.session.watch import Item, News, Tick, watch
from adjunct.terminal.session import CURVES, FRAME, NOTABLE, _Floor, brief, chair, curve, run, show_replay, show_stock
from sessions import MINUTE, NINE, Log, at

K = Knowledge.load()
SCREENS = [(80, 24), (100, 50), (40, 12)]


@cache
def ticks(name: str, minutes: int = 200) -> tuple[Tick, ...]:
    items = tuple(adjunct.rehearse(name, seed=1, knowledge=K))
    first = min(item.received for item in items if item.received is not None)
    last = first + minutes * MINUTE
    return tuple(takewhile(lambda tick: tick.at < last, watch(items, range(first, last, FRAME), K)))


def printed(day: tuple[Tick, ...], *, width: int = 80) -> list[str]:
    out = io.StringIO()
    run(day, K, live=False, pace=repeat(None), console=Console(file=out, width=width))
    return out.getvalue().splitlines()


def pictures(day: tuple[Tick, ...], width: int, height: int) -> Iterator[tuple[Tick, list[str]]]:
    """What a screen of this size shows, at each look of the clock."""
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False)
    floor = _Floor(K, console)
    for tick in day:
        floor.take(tick)
        if len(tick.seen) > 1 and tick.at >= floor.drawn + 2 * MINUTE:
            with console.capture() as got:
                console.print(floor.picture(tick))
            yield tick, got.get().splitlines()[:height]


# --- a live screen ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_every_alarm_of_every_chair_is_on_the_screen_and_the_worst_is_first(width: int, height: int) -> None:
    """Three chairs: also where there is no room for one of them in full."""
    raised = 0
    for tick, lines in pictures(ticks("three-chairs", 50), width, height):
        text = "\n".join(lines)
        alarms = [alarm for seen in tick.seen for alarm in seen.alarms]
        raised += len(alarms)
        assert all(f" {a.level.upper()} " in text for a in alarms)
        if alarms:
            first = next(n for n, line in enumerate(lines) if any(f" {a.level.upper()} " in line for a in alarms))
            assert first <= 2  # under the name of its chair, at the top of the screen
        assert len(lines) <= height
    assert raised > 10


@pytest.mark.parametrize(("width", "height"), SCREENS[:2])
def test_every_chair_is_on_the_screen_with_what_happened_last(width: int, height: int) -> None:
    for tick, lines in pictures(ticks("three-chairs", 50), width, height):
        assert all(any(seen.session in line for line in lines) for seen in tick.seen)
        assert any("what happened" in line for line in lines)


def test_a_curve_keeps_its_newest_value_on_a_narrow_screen() -> None:
    *_, (_, lines) = pictures(ticks("three-chairs", 50), 80, 60)
    curves = [line for line in lines if any(K.concepts[name].title in line for name in CURVES)]
    assert len(curves) == 3 * len(CURVES)
    assert not any("…" in line for line in curves)


def test_what_is_to_be_done_stays_on_the_screen_when_a_message_arrives() -> None:
    day = ticks("hypertensive-surge", 35)
    console = Console(file=io.StringIO(), width=80, height=40)
    floor = _Floor(K, console)
    for tick in day:
        floor.take(tick)
    arrival = next(t for t in reversed(day) if t.seen and not t.seen[0].due)
    with console.capture() as got:
        console.print(floor.picture(arrival))
    assert "overdue: Stop the dose now" in got.get()


def test_a_prediction_is_called_one_and_a_dose_without_a_model_says_so_in_one_line() -> None:
    said = {line for _, lines in pictures(ticks("three-chairs", 50), 80, 60) for line in lines if "predicted" in line}
    assert any("no predicted concentration" in line for line in said)
    assert all("not measured" in line for line in said if "ng/mL" in line)
    assert any("ng/mL" in line for line in said)


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([97.0, 98.0, 97.0], "▁▁▁"), ([120.0, 132.0, 180.0], "▁▂█"), ([5.0, 5.0], "▁▁"), ([0.0, 0.0], "▁▁"), ([], "")],
)
def test_what_hardly_moves_is_not_drawn_as_a_swing(values: list[float], drawn: str) -> None:
    assert curve(values) == drawn


# --- lines ------------------------------------------------------------------------------------------------------------


def test_one_line_a_change_however_long_it_is() -> None:
    day = ticks("early-leaver")
    lines = printed(day, width=60)
    assert len(lines) == sum(news.kind in NOTABLE for tick in day for news in tick.news)
    assert any("not discharged: " in line and len(line) > 100 for line in lines)


def test_what_is_kept_aside_again_for_the_same_reason_is_said_once() -> None:
    day = ticks("wrong-patient")
    assert sum(news.kind == "held" for tick in day for news in tick.news) > 40
    lines = printed(day)
    assert sum("HELD" in line for line in lines) == 1
    other = (Tick(0, (), (), (News(0, "s", "held", "w", "one"),)), Tick(1, (), (), (News(1, "s", "held", "w", "two"),)))
    assert len(printed(other + other)) == 4


def test_nothing_is_shown_of_nothing() -> None:
    assert printed(()) == []
    out = io.StringIO()
    show_replay(adjunct.replay(b"", at="2027-01-11T09:00:00+01:00"), Console(file=out, width=80))
    assert "0 events" in out.getvalue()


def replayed(*logs: Log, width: int = 100) -> str:
    """A log of several sessions, a, b, c ..., read back."""
    items = [
        e._replace(id=f"{name}-{e.id}", session=name)
        for name, day in zip("abcd", logs, strict=False)
        for e in day.events
    ]
    out = io.StringIO()
    show_replay(adjunct.replay(items, knowledge=K), Console(file=out, width=width))
    return out.getvalue()


def quiet() -> Log:
    day = Log(K)
    day.infusion()
    day.add(5, "vitals", systolic=128, diastolic=80, heart_rate=72, spo2=98, resp_rate=14)
    return day


def test_of_several_sessions_the_worst_stands_first() -> None:
    low, high, gone = quiet(), quiet(), quiet()
    low.add(6, "vitals", spo2=78)
    high.add(6, "vitals", systolic=196, diastolic=112)
    gone.add(6, "left-before-discharge", warned=False)
    lines = replayed(quiet(), high, gone, low).splitlines()
    assert [line.partition(":")[0] for line in lines if "====" in line] == ["d", "b", "c", "a"]


def test_an_event_before_the_check_in_reads_as_one() -> None:
    stray, severe = Log(K, ready=False), Log(K, ready=False)
    stray.add(0, "vitals", systolic=128, diastolic=80)
    severe.add(0, "vitals", spo2=78)
    text = replayed(stray, severe)
    assert "a: nobody has checked in =" in text
    assert "whose is it?" in text[text.index("a: nobody") :]
    assert " 1 event." in text
    assert "DEFER" not in text
    assert "what stands now: ESCALATE" in text[: text.index("a: nobody")]  # judged all the same
    assert ". ," not in text


def test_before_the_dose_a_replay_says_where_the_open_questions_stand() -> None:
    day = Log(K)
    assert "no dose yet: DEFER, see adjunct session ready" in replayed(day)
    day.infusion()
    assert "see adjunct session ready" not in replayed(day)
    day.add(3, "left-before-discharge", warned=True)
    assert "what stands now" not in replayed(day)


def test_where_nobody_looked_nothing_is_said_to_be_done() -> None:
    tick = next(t for t in ticks("hypertensive-surge", 35) if t.seen and t.seen[0].due is None)
    out = io.StringIO()
    console = Console(file=out, width=100)
    console.print(brief(tick.seen[0]), chair(tick.seen[0], K, 100))
    assert "to do" not in out.getvalue()
    stray = Log(K, ready=False)
    stray.add(0, "vitals", systolic=128, diastolic=80)
    *_, last = watch(stray.events, [at(1)], K)
    console.print(brief(last.seen[0]))
    assert "expected, nobody has checked in" in out.getvalue()


# --- words ------------------------------------------------------------------------------------------------------------

DRIVES = "A\x1b[2J\x1b]0;x\x07\u202eB [red]"


def test_words_of_a_log_cannot_drive_the_terminal() -> None:
    """Names, a chair, a session and reasons that hold what clears the screen or turns a line around, however they
    came in: the reader of a log takes none of them.
    """
    day = Log(K, ready=False)
    day.add(-40, "checked-in", patient="Patient/1", treatment="ketamine-iv", chair="1")
    day.add(-2, "vitals", systolic=196, diastolic=112)
    day.add(-1, "acknowledged", alarm="hypertension-severe")
    day.add(0, "left-before-discharge", text="x")
    driven = {"chair": DRIVES, "text": DRIVES}
    events = [
        e._replace(session=DRIVES, by=DRIVES, data={**e.data, **{k: v for k, v in driven.items() if k in e.data}})
        for e in day.events
    ]
    held = Held(DRIVES, DRIVES, DRIVES, at(1), events[1]._replace(source=DRIVES))
    items: list[Item] = [*events, held]
    out = io.StringIO()
    for some, live in ((items, False), (items, True), (items[:-2], True)):
        seen = watch(some, range(at(-41), at(3), MINUTE), K)
        run(seen, K, live=live, pace=repeat(None), console=Console(file=out, width=200, height=50))
    show_replay(adjunct.replay(items, knowledge=K), Console(file=out, width=200))
    assert out.getvalue().count("[red]") > 10  # no markup either
    assert "is there" in out.getvalue()
    assert not set("\x1b\x07\u202e") & set(out.getvalue())


def test_a_lot_of_the_ledger_cannot_drive_the_terminal() -> None:
    book = Ledger(now=NINE.ms, lots=(Lot(product=DRIVES, lot=DRIVES),), uses=(), lines=(), flags=())
    out = io.StringIO()
    show_stock(book, (), NINE, Console(file=out, width=100))
    assert out.getvalue().count("[red]") == 2
    assert not set("\x1b\x07\u202e") & set(out.getvalue())
