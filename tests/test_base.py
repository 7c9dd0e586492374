"""Floor 0: three-valued columns, verdicts, instants and partial dates, durations, units, the event table, errors."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import (
    FAR,
    MS_PER_DAY,
    NO,
    UNKNOWN,
    YES,
    AdjunctError,
    BadInput,
    Events,
    Grade,
    Instant,
    Kleene,
    Refused,
    Row,
    UnitError,
    Verdict,
    convert,
    duration_ms,
    instant,
    iso,
    partial_date,
    shown,
    unit_spellings,
    units,
    worst,
)

ZERO = timedelta(0)
TRUTHS = (NO, UNKNOWN, YES)
PAIRS = list(itertools.product(TRUTHS, TRUTHS))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at_utc(year: int, month: int = 1, day: int = 1, hour: int = 0, minute: int = 0) -> int:
    """Milliseconds since 1970, reckoned without the code under test."""
    return (datetime(year, month, day, hour, minute, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


# --- Kleene -----------------------------------------------------------------------------------------------------------

AND = {
    (NO, NO): NO, (NO, UNKNOWN): NO, (NO, YES): NO,
    (UNKNOWN, NO): NO, (UNKNOWN, UNKNOWN): UNKNOWN, (UNKNOWN, YES): UNKNOWN,
    (YES, NO): NO, (YES, UNKNOWN): UNKNOWN, (YES, YES): YES,
}  # fmt: skip
OR = {
    (NO, NO): NO, (NO, UNKNOWN): UNKNOWN, (NO, YES): YES,
    (UNKNOWN, NO): UNKNOWN, (UNKNOWN, UNKNOWN): UNKNOWN, (UNKNOWN, YES): YES,
    (YES, NO): YES, (YES, UNKNOWN): YES, (YES, YES): YES,
}  # fmt: skip
NOT = {NO: YES, UNKNOWN: UNKNOWN, YES: NO}


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_and_and_or_follow_their_tables(a: int, b: int) -> None:
    one, other = Kleene.of([a]), Kleene.of([b])
    assert (one & other).tolist() == [AND[a, b]]
    assert (one | other).tolist() == [OR[a, b]]


@pytest.mark.parametrize("a", TRUTHS)
def test_not_follows_its_table(a: int) -> None:
    assert (~Kleene.of([a])).tolist() == [NOT[a]]


def test_a_column_is_no_bool() -> None:
    with pytest.raises(TypeError, match=r"^a Kleene column is not a bool: say what UNKNOWN should do$"):
        bool(Kleene.of([YES]))
    with pytest.raises(TypeError):
        Kleene.of([YES]) and Kleene.of([NO])
    with pytest.raises(TypeError):
        bool(Kleene.of([]))  # not even an empty one, although it has a length


def test_a_column_keeps_its_length_and_its_small_type() -> None:
    column = Kleene.of(iter([NO, UNKNOWN, YES]))
    assert len(column) == 3
    for made in (column, ~column, column & ~column, column | ~column):
        assert made.values.dtype == np.int8
        assert all(type(v) is int for v in made.tolist())


columns = st.integers(0, 6).flatmap(
    lambda n: st.tuples(*[st.lists(st.sampled_from(TRUTHS), min_size=n, max_size=n).map(Kleene.of)] * 3)
)


@given(columns)
def test_the_laws_of_the_algebra(drawn: tuple[Kleene, Kleene, Kleene]) -> None:
    a, b, c = drawn
    for left, right in (
        (~(a & b), ~a | ~b),
        (~(a | b), ~a & ~b),
        (~~a, a),
        (a & a, a),
        (a | a, a),
        (a & (a | b), a),
        (a | (a & b), a),
        (a & b, b & a),
        (a | b, b | a),
        ((a & b) & c, a & (b & c)),
        ((a | b) | c, a | (b | c)),
        (a & (b | c), (a & b) | (a & c)),
        (a | (b & c), (a | b) & (a | c)),
    ):
        assert left.tolist() == right.tolist()


def test_the_excluded_middle_does_not_hold() -> None:
    """What makes unknown a value: neither `a or not a` nor `not (a and not a)` is certain."""
    a = Kleene.of([UNKNOWN])
    assert (a | ~a).tolist() == [UNKNOWN]
    assert (a & ~a).tolist() == [UNKNOWN]


@given(columns, st.data())
def test_learning_more_never_turns_an_answer(drawn: tuple[Kleene, Kleene, Kleene], data: st.DataObject) -> None:
    """Monotone in the order of information: once unknowns are filled in, every answer that was certain stays."""
    formulas: list[Callable[[Kleene, Kleene, Kleene], Kleene]] = [
        lambda a, b, c: a & b,
        lambda a, b, c: a | ~b,
        lambda a, b, c: (a | ~b) & (c | (~a & b)),
    ]
    filled = [
        Kleene.of(data.draw(st.sampled_from([NO, YES])) if v == UNKNOWN else v for v in column.tolist())
        for column in drawn
    ]
    for formula in formulas:
        for before, after in zip(formula(*drawn).tolist(), formula(*filled).tolist(), strict=True):
            assert before in (UNKNOWN, after)
            assert after != UNKNOWN


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_verdicts_are_ordered_by_what_leads() -> None:
    names = ["ELIGIBLE", "CAUTION", "DEFER", "NOT_ELIGIBLE", "ESCALATE"]
    assert [v.name for v in sorted(Verdict)] == names
    assert [v.value for v in sorted(Verdict)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("a", "b"), list(itertools.product(Verdict, Verdict)))
def test_the_worst_of_two_leads(a: Verdict, b: Verdict) -> None:
    assert worst([a, b]) is (a if a.value > b.value else b)


def test_the_worst_of_none_is_eligible_and_an_iterator_will_do() -> None:
    assert worst([]) is Verdict.ELIGIBLE
    assert worst(v for v in (Verdict.DEFER, Verdict.ESCALATE, Verdict.CAUTION)) is Verdict.ESCALATE


def test_grades_are_their_letters() -> None:
    assert [str(g) for g in Grade] == list("ABCDX")


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code", "parent"),
    [(AdjunctError, 2, Exception), (BadInput, 2, AdjunctError), (Refused, 3, AdjunctError), (UnitError, 2, BadInput)],
)
def test_an_error_carries_its_exit_code_and_its_place(kind: type[AdjunctError], code: int, parent: type) -> None:
    assert issubclass(kind, parent)
    assert kind.exit_code == code
    placed, bare = kind("no such thing", "entry[3].onset"), kind("no such thing")
    assert (str(placed), placed.at) == ("no such thing (at entry[3].onset)", "entry[3].onset")
    assert (str(bare), bare.at) == ("no such thing", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "''"),
        ("it's", '"it\'s"'),
        ("a\nb", r"'a\nb'"),
        ("x" * 60, "'" + "x" * 60 + "'"),
        ("x" * 61, "'" + "x" * 60 + "…'"),
        ("0123456789" * 1000, "'" + "0123456789" * 6 + "…'"),
    ],
)
def test_what_was_sent_is_shown_quoted_and_short(text: str, expected: str) -> None:
    assert shown(text) == expected


# --- instants ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ms", "hours"),
    [
        ("1970-01-01T00:00:00Z", 0, 0),
        ("1969-12-31T23:59:59Z", -1000, 0),
        ("2026-11-22T09:30:00+01:00", at_utc(2026, 11, 22, 8, 30), 1),
        ("2026-11-22T09:30Z", at_utc(2026, 11, 22, 9, 30), 0),
        ("2026-11-22T09:30:00-00:00", at_utc(2026, 11, 22, 9, 30), 0),
        ("2026-11-22T09:30:00.25Z", at_utc(2026, 11, 22, 9, 30) + 250, 0),
        ("2026-11-22T09:30:00.123456789Z", at_utc(2026, 11, 22, 9, 30) + 123, 0),
        ("2024-02-29T23:00:00+14:00", at_utc(2024, 2, 29, 9), 14),
        ("2024-02-29T23:00:00-12:00", at_utc(2024, 3, 1, 11), -12),
        ("2026-11-22T09:30:00+05:45", at_utc(2026, 11, 22, 3, 45), 5.75),
        ("0001-01-02T00:00:00Z", at_utc(1, 1, 2), 0),
        ("9999-12-30T00:00:00Z", at_utc(9999, 12, 30), 0),
    ],
)
def test_an_instant_is_read_to_the_millisecond(text: str, ms: int, hours: float) -> None:
    read = instant(text)
    assert read == Instant(ms, timedelta(hours=hours))
    assert type(read.ms) is int


NOT_INSTANTS = [
    "", "2026", "2026-11-22", "2026-11-22T09:30:00", "2026-11-22 09:30:00Z", "2026-11-22T09:30:00z",
    "2026-11-22T09:30:00+0100", "2026-11-22T09:30:00+01", "2026-11-22T09Z", "26-11-22T09:30:00Z", "2026-1-2T09:30:00Z",
    "2026-11-22T09:30:00.Z", " 2026-11-22T09:30:00Z", "2026-11-22T09:30:00Z\n", "2026-11-22T09:30:00ZZ", "now",
    "2026-W47-7T09:30:00Z",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_INSTANTS)
def test_an_instant_needs_its_form_and_its_offset(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        instant(text, "Patient.birth")
    assert str(caught.value) == (
        f"not an instant with an offset: {text!r}; write for example 2026-11-22T09:30:00+01:00 (at Patient.birth)"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-02-29T00:00:00Z", "day is out of range for month"),
        ("2026-13-01T00:00:00Z", "month must be in 1..12"),
        ("2026-00-10T00:00:00Z", "month must be in 1..12"),
        ("2026-11-22T25:00:00Z", "hour must be in 0..23"),
        ("2026-11-22T09:60:00Z", "minute must be in 0..59"),
        ("2026-11-22T09:30:60Z", "second must be in 0..59"),
        ("2026-11-22T09:30:00+24:00", "offset must be"),
        ("0000-06-01T00:00:00Z", "year 0 is out of range"),
        ("0001-01-01T23:59:59Z", "date value out of range"),
        ("9999-12-31T00:00:00Z", "date value out of range"),
    ],
)
def test_an_impossible_moment_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(BadInput) as caught:
        instant(text, "at")
    message = str(caught.value)
    assert message.startswith(f"no such moment: {text!r} (")
    assert message.endswith(") (at at)")
    if "range" in why:  # the wording of the others is Python's own and changes between its versions
        assert why in message


@given(
    st.integers(at_utc(2, 1, 1) // 1000, at_utc(9998, 12, 31) // 1000),
    st.integers(-12 * 60, 14 * 60).map(lambda m: timedelta(minutes=m)),
)
def test_an_instant_survives_being_written_and_read(seconds: int, offset: timedelta) -> None:
    moment = Instant(seconds * 1000, offset)
    assert instant(moment.iso()) == moment
    assert moment.date() == moment.iso()[:10]


def test_an_instant_is_written_in_its_owners_calendar() -> None:
    moment = Instant(at_utc(2026, 11, 22, 23, 30), timedelta(hours=1))
    assert moment.iso() == "2026-11-23T00:30:00+01:00"
    assert moment.date() == "2026-11-23"
    assert Instant(0).iso() == "1970-01-01T00:00:00+00:00"
    assert iso(-1, ZERO) == "1969-12-31T23:59:59+00:00"  # downwards: the second in which it lies
    assert iso(1999, ZERO) == "1970-01-01T00:00:01+00:00"


def test_an_instant_is_written_alike_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine hours to the east it is already the year 10000, which no calendar here has."""
    monkeypatch.setenv("TZ", "EAST-9")
    time.tzset()
    try:
        assert iso(at_utc(9999, 12, 31, 20), ZERO) == "9999-12-31T20:00:00+00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_error_of_a_time_may_do_without_a_place() -> None:
    for wrong in ("now", "2026-02-29T00:00:00Z"):
        with pytest.raises(BadInput) as caught:
            instant(wrong)
        assert caught.value.at == ""
    for wrong in ("now", "2026-02-29"):
        with pytest.raises(BadInput) as caught:
            partial_date(wrong, ZERO)
        assert caught.value.at == ""


def test_instants_are_ordered_by_when_they_are() -> None:
    early, late = instant("2026-11-22T09:30:00+02:00"), instant("2026-11-22T08:30:00+00:00")
    assert early < late


# --- partial dates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", (2026, 1, 1), (2027, 1, 1)),
        ("2024", (2024, 1, 1), (2025, 1, 1)),
        ("2026-01", (2026, 1, 1), (2026, 2, 1)),
        ("2026-11", (2026, 11, 1), (2026, 12, 1)),
        ("2026-12", (2026, 12, 1), (2027, 1, 1)),
        ("2026-02", (2026, 2, 1), (2026, 3, 1)),
        ("2024-02", (2024, 2, 1), (2024, 3, 1)),
        ("2024-02-29", (2024, 2, 29), (2024, 3, 1)),
        ("2026-02-28", (2026, 2, 28), (2026, 3, 1)),
        ("2026-12-31", (2026, 12, 31), (2027, 1, 1)),
        ("2000-02-29", (2000, 2, 29), (2000, 3, 1)),
        ("1969", (1969, 1, 1), (1970, 1, 1)),
        ("0001", (1, 1, 1), (2, 1, 1)),
        ("9998-12", (9998, 12, 1), (9999, 1, 1)),
        ("9999-11", (9999, 11, 1), (9999, 12, 1)),
        ("9999-12-30", (9999, 12, 30), (9999, 12, 31)),
    ],
)
@pytest.mark.parametrize("hours", [0, 14, -12, 5.75])
def test_a_partial_date_is_the_whole_of_it_both_ends_included(
    text: str, start: tuple[int, int, int], end: tuple[int, int, int], hours: float
) -> None:
    shift = int(hours * 3_600_000)
    read = partial_date(text, timedelta(hours=hours))
    assert read == (at_utc(*start) - shift, at_utc(*end) - shift - 1)
    assert [type(v) for v in read] == [int, int]


def test_a_full_date_time_is_one_instant_with_an_offset_of_its_own() -> None:
    moment = at_utc(2026, 11, 22, 8, 30)
    assert partial_date("2026-11-22T09:30:00+01:00", timedelta(hours=-6)) == (moment, moment)


NO_DATES = ["0000", "2026-13", "2026-02-29", "2023-02-30", "1900-02-29", "2026-04-31", "9999", "9999-12", "9999-12-31"]


@pytest.mark.parametrize("text", NO_DATES)
def test_a_date_that_is_not_in_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        partial_date(text, ZERO, "onset")
    assert str(caught.value) == f"no such date: {text!r}; write YYYY, YYYY-MM or YYYY-MM-DD (at onset)"


@pytest.mark.parametrize(
    "text", ["", "26", "2026-1", "2026-11-", "2026-11-2", "20261122", "2026-11-22T", "2026\n", "2026-11-22T09:30:00"]
)
def test_what_is_neither_date_nor_instant_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"^not an instant with an offset: .* \(at onset\)$"):
        partial_date(text, ZERO, "onset")


@pytest.mark.parametrize("text", ["2026-00", "2026-11-00", "2026-00-15"])
def test_a_month_or_day_of_nought_is_no_date(text: str) -> None:
    with pytest.raises(BadInput):
        partial_date(text, ZERO)


def test_a_year_is_written_in_plain_digits() -> None:
    with pytest.raises(BadInput):
        partial_date("２０２６", ZERO)


def test_a_duration_beyond_every_number_is_refused() -> None:
    with pytest.raises(BadInput):
        duration_ms("9" * 400 + " d")


@given(st.dates(min_value=datetime(2, 1, 1, tzinfo=UTC).date(), max_value=datetime(9998, 12, 31, tzinfo=UTC).date()))
def test_a_day_lies_in_its_month_and_the_month_in_its_year(day: object) -> None:
    text, offset = str(day), timedelta(hours=-3.5)
    year, month, exact = (partial_date(text[:length], offset) for length in (4, 7, 10))
    assert year[0] <= month[0] <= exact[0] <= exact[1] <= month[1] <= year[1]
    assert exact[1] - exact[0] == MS_PER_DAY - 1
    assert 28 * MS_PER_DAY - 1 <= month[1] - month[0] <= 31 * MS_PER_DAY - 1
    assert year[1] - year[0] + 1 in (365 * MS_PER_DAY, 366 * MS_PER_DAY)


# --- durations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0 s", 0),
        ("1 s", 1000),
        ("0.5 s", 500),
        ("30 min", 1_800_000),
        ("24 h", 86_400_000),
        ("1 d", 86_400_000),
        ("14 d", 14 * 86_400_000),
        ("2 wk", 14 * 86_400_000),
        ("1 mo", 2_629_800_000),  # a twelfth of a Julian year, as UCUM has it
        ("12 mo", 31_557_600_000),
        ("1 a", 31_557_600_000),
        ("  1.5  h  ", 5_400_000),
        ("1d", 86_400_000),
        ("ever", 2**60),
    ],
)
def test_a_duration_in_milliseconds(text: str, ms: int) -> None:
    assert duration_ms(text) == ms
    assert type(duration_ms(text)) is int


@pytest.mark.parametrize(
    "text",
    [
        "", "d", "14", "-1 d", "+1 d", "1e3 d", ".5 h", "1. h", "1,5 h", "5 w", "5 weeks", "1 M", "14 d.", "1 d 2 h",
        "Ever", "ever ", "14 D", "1 ms",
    ],
)  # fmt: skip
def test_a_bad_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        duration_ms(text, "rule x")
    assert str(caught.value) == (
        f"not a duration: {text!r}; write for example '30 min', '14 d', '5 wk', 'ever' (at rule x)"
    )


def test_ever_is_longer_than_the_calendar_and_can_be_taken_from_an_instant() -> None:
    whole = at_utc(9999, 12, 31) - at_utc(1)
    assert whole < FAR
    assert np.int64(at_utc(1)) - np.int64(FAR) < 0


def test_a_day_in_milliseconds() -> None:
    assert MS_PER_DAY == 24 * 60 * 60 * 1000


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (98.6, "[degF]", "Cel", 37.0),
        (100.4, "[degF]", "Cel", 38.0),
        (38.0, "Cel", "[degF]", 100.4),
        (0.0, "Cel", "K", 273.15),
        (-40.0, "[degF]", "Cel", -40.0),
        (150.0, "[lb_av]", "kg", 68.0388555),
        (1.0, "kg", "g", 1000.0),
        (1.0, "d", "h", 24.0),
        (2.0, "wk", "d", 14.0),
        (50.0, "%", "1", 0.5),
        (3.0, "{score}", "1", 3.0),
    ],
)
def test_a_value_in_another_unit(value: float, source: str, target: str, expected: float) -> None:
    assert convert(value, source, target) == expected


CREATININE, BILIRUBIN = 113.12, 584.66  # g/mol


@pytest.mark.parametrize(
    ("value", "source", "target", "molar_mass", "expected"),
    [
        (1.0, "mg/dL", "umol/L", CREATININE, 88.4016973126),
        (88.4016973126, "umol/L", "mg/dL", CREATININE, 1.0),
        (1.0, "mg/dL", "umol/L", BILIRUBIN, 17.1039578558),
        (10.0, "mol", "g", 2.0, 20.0),
        (10.0, "g", "mol", 2.0, 5.0),
    ],
)
def test_the_molar_mass_links_amount_and_mass(
    value: float, source: str, target: str, molar_mass: float, expected: float
) -> None:
    assert convert(value, source, target, molar_mass=molar_mass) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(
    ("source", "target", "molar_mass"),
    [
        ("mg/dL", "umol/L", None),
        ("umol/L", "mg/dL", None),
        ("mg/dL", "kg", None),
        ("mg/dL", "kg", CREATININE),
        ("umol/L", "mg", CREATININE),
        ("mg", "umol/L", CREATININE),
        ("mm[Hg]", "Cel", CREATININE),
        ("s", "1", None),
    ],
)
def test_a_unit_of_another_kind_is_refused(source: str, target: str, molar_mass: float | None) -> None:
    with pytest.raises(UnitError) as caught:
        convert(1.0, source, target, molar_mass=molar_mass, at="Observation/1")
    assert str(caught.value) == (
        f"unit {source!r} does not measure this: a unit like {target!r} was expected (at Observation/1)"
    )


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("mmHg", "mm[Hg]", "unknown unit 'mmHg': send a UCUM code, here 'mm[Hg]' (at here)"),
        ("mm[Hg]", "mmHg", "unknown unit 'mmHg': send a UCUM code, here 'mm[Hg]' (at here)"),
        ("furlong", "m", "unknown unit 'furlong': send a UCUM code (at here)"),
        ("m", "furlong", "unknown unit 'furlong': send a UCUM code (at here)"),
        ("furlong", "mmHg", "unknown unit 'furlong': send a UCUM code (at here)"),
        ("x" * 99, "m", "unknown unit '" + "x" * 60 + "…': send a UCUM code (at here)"),
        ("", "m", "unknown unit '': send a UCUM code (at here)"),
    ],
)
def test_an_unknown_unit_is_named_with_what_to_send(source: str, target: str, message: str) -> None:
    with pytest.raises(UnitError) as caught:
        convert(1.0, source, target, at="here")
    assert str(caught.value) == message
    assert caught.value.at == "here"


def test_the_same_unit_is_left_alone_even_when_unknown() -> None:
    assert convert(0.1 + 0.2, "furlong", "furlong") == 0.1 + 0.2  # to the last bit


def pairs() -> list[tuple[str, str]]:
    by_dimension: dict[str, list[str]] = {}
    for unit in units().values():
        by_dimension.setdefault(unit.dimension, []).append(unit.code)
    return [pair for codes in by_dimension.values() for pair in itertools.product(codes, codes)]


@given(st.sampled_from(pairs()), st.floats(0.001, 100_000))
def test_there_and_back_again(pair: tuple[str, str], value: float) -> None:
    source, target = pair
    there = convert(value, source, target)
    back = convert(there, target, source)
    # Twelve digits of the base quantity: near the zero of a thermometer these are fewer digits of the reading.
    a, b = units()[source], units()[target]
    slack = 1e-9 * max(abs(a.offset), abs(b.offset)) / min(a.factor, b.factor)
    assert math.isclose(back, value, rel_tol=1e-10, abs_tol=slack)


@given(st.floats(0.01, 10_000), st.floats(10, 1000))
def test_amount_and_mass_there_and_back_again(value: float, molar_mass: float) -> None:
    there = convert(value, "umol/L", "mg/dL", molar_mass=molar_mass)
    assert math.isclose(convert(there, "mg/dL", "umol/L", molar_mass=molar_mass), value, rel_tol=1e-10)


@given(st.integers(1, 100_000).map(lambda n: n / 100), st.sampled_from(["mg", "ug", "ng", "kg", "pg"]))
def test_a_limit_is_met_exactly_by_what_equals_it_in_another_unit(limit: float, unit: str) -> None:
    """A limit of 0.3 g is met by 300 mg, whatever the last bits of the arithmetic say."""
    thousandths = {"kg": 0.001, "mg": 1e3, "ug": 1e6, "ng": 1e9, "pg": 1e12}[unit]
    reported = float(f"{limit * thousandths:.10g}")
    assert convert(reported, unit, "g") == limit


@pytest.mark.parametrize(
    ("value", "source", "target", "limit"),
    [(0.3, "kg", "g", 300.0), (2.1, "g/dL", "g/L", 21.0), (101.3, "[degF]", "Cel", 38.5), (4.35, "g", "mg", 4350.0)],
)
def test_limits_that_plain_arithmetic_would_miss(value: float, source: str, target: str, limit: float) -> None:
    assert convert(value, source, target) == limit


def test_the_tables_are_read_once_and_hold_what_they_say() -> None:
    assert units() is units()
    assert unit_spellings() is unit_spellings()
    assert all(code == unit.code for code, unit in units().items())
    kelvin = units()["Cel"]
    assert (kelvin.dimension, kelvin.factor, kelvin.offset) == ("K", 1.0, 273.15)
    assert unit_spellings()["mcg"] == "ug"


# --- the event table --------------------------------------------------------------------------------------------------


def absent(concepts: int, people: int) -> np.ndarray:
    return np.full((concepts, people), UNKNOWN, dtype=np.int8)


def lines(events: Events) -> list[Row]:
    """The table read back, row by row."""
    return [
        Row(
            int(events.concept[i]),
            int(events.t0[i]),
            int(events.t1[i]),
            float(events.value[i]),
            int(events.code[i]),
            int(events.status[i]),
            int(events.source[i]),
            int(events.person[i]),
        )
        for i in range(len(events.concept))
    ]


def test_a_bare_row_is_true_and_otherwise_unknown() -> None:
    row = Row(3, 10, 20)
    assert math.isnan(row.value)
    assert (row.code, row.status, row.source, row.person) == (-1, YES, -1, 0)


rows = st.lists(
    st.builds(
        Row,
        concept=st.integers(0, 3),
        t0=st.integers(-(2**60), 2**60),
        t1=st.integers(-(2**60), 2**60),
        value=st.floats(allow_nan=False),
        code=st.integers(-1, 2**31 - 1),
        status=st.sampled_from(TRUTHS),
        source=st.integers(-1, 2**31 - 1),
        person=st.integers(0, 2),
    ),
    max_size=12,
)


@given(rows)
def test_a_table_sorts_and_keeps_every_row_whole(given_rows: list[Row]) -> None:
    silence = absent(4, 3)
    events = Events.of(given_rows, now=[7, 8, 9], absent=silence)
    expected = sorted(given_rows, key=lambda r: (r.concept, r.person, r.t0))  # stable, as the table must be
    assert lines(events) == expected
    assert events.people == 3
    assert events.now.tolist() == [7, 8, 9]
    assert events.absent is silence
    assert len(events.starts) == 5
    for concept in range(4):
        part = slice(int(events.starts[concept]), int(events.starts[concept + 1]))
        assert lines(events)[part] == [r for r in expected if r.concept == concept]


def test_a_table_without_rows_still_has_its_columns() -> None:
    events = Events.of([], now=[0], absent=absent(2, 1))
    assert lines(events) == []
    assert events.starts.tolist() == [0, 0, 0]
    assert events.people == 1
    nobody = Events.of([], now=[], absent=absent(0, 0))
    assert (nobody.people, nobody.starts.tolist()) == (0, [0])
    assert nobody.now.dtype == np.int64


def test_the_columns_have_their_types_and_lie_in_one_piece() -> None:
    events = Events.of([Row(0, 1, 2), Row(0, 0, 2)], now=[5], absent=absent(1, 1))
    types = {
        "concept": np.int32, "person": np.int32, "t0": np.int64, "t1": np.int64, "value": np.float64,
        "code": np.int32, "status": np.int8, "source": np.int32, "now": np.int64,
    }  # fmt: skip
    for name, expected in types.items():
        column = getattr(events, name)
        assert column.dtype == expected, name
        assert column.flags.c_contiguous, name
    assert np.isnan(events.value).all()
    assert events.code.tolist() == [-1, -1]


def test_a_refusal_carries_what_to_do_now_all_the_same() -> None:
    assert BadInput("no", advice=("call",)).advice == ("call",)
    assert BadInput("no").advice == ()


def test_a_duration_beyond_the_calendar_says_where_it_stood() -> None:
    with pytest.raises(BadInput) as caught:
        duration_ms("40000000 a", "onset")
    assert caught.value.at == "onset"
