"""The ledger of controlled medicines: the book, the counts, two signatures; nothing absorbed, nothing lost."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import BadInput, instant, iso
from adjunct.knowledge import Knowledge
from adjunct.session import stock
from adjunct.session.model import Dose, Given, Held, State

KNOWLEDGE = Knowledge.load()
HOUR, DAY = 3_600_000, 86_400_000
EIGHT = instant("2026-11-22T08:00:00+00:00").ms
VIAL, DEVICE = "ketamine-vial-50", "esketamine-device"


def raw(id_: str, hour: float, kind: str, /, *, received: float | None = None, **data: Any) -> dict[str, Any]:
    at = EIGHT + round(hour * HOUR)
    arrived = at if received is None else EIGHT + round(received * HOUR)
    entry = {
        "id": id_,
        "kind": kind,
        "at": _iso(at),
        "received": _iso(arrived),
        "by": "Nina Ortiz",
        "witness": "Tom Reed",
    }
    return {**entry, "product": VIAL, "lot": "K7", **data}


def _iso(ms: int) -> str:
    return iso(ms, timedelta(0))


def read(*lines: dict[str, Any]) -> list[stock.Entry]:
    found = list(stock.read_ledger((json.dumps(line) for line in lines), KNOWLEDGE))
    held = [x for x in found if isinstance(x, Held)]
    assert held == []
    return [x for x in found if isinstance(x, stock.Entry)]


def book(*lines: dict[str, Any], hour: float = 10) -> stock.Ledger:
    return stock.reconcile(read(*lines), EIGHT + round(hour * HOUR), KNOWLEDGE)


TEN = raw("r1", 0, "received", units=10, expiry="2027-03")
OUT = raw("i1", 1, "issued", units=1, session="s1")
GIVEN = raw("a1", 2, "administered", mg=35, ml=0.7, session="s1")
REST = raw("w1", 2.5, "wasted", mg=465, ml=9.3, session="s1", reason="rest of the vial")


SPRAY = {"product": DEVICE}
LETTER = raw("x", 0.5, "recalled", reason="maker's letter")
OLD = raw("r1", 0, "received", units=2, expiry="2026-11-21")
ALL_OUT, ALL_BACK = raw("i1", 1, "issued", units=10, session="s1"), raw("b", 2, "returned", units=10, session="s1")
WITHDRAWN = raw("k", 1, "correction", corrects="z9", reason="typo", withdrawn=True)
HALF_PUT_RIGHT = raw("k", 1, "correction", corrects="r1", reason="typo", data={"units": 9})


def codes(ledger: stock.Ledger) -> list[str]:
    return [flag.code for flag in ledger.flags]


def test_a_quiet_day_balances() -> None:
    ledger = book(TEN, OUT, GIVEN, REST, raw("c1", 3, "counted", units=9))
    assert codes(ledger) == []
    assert [line.balance for line in ledger.lines] == [10, 9, 9, 9, 9]
    assert ledger.lots[0].counts == (stock.Count("c1", EIGHT + 3 * HOUR, 9, 9, 0, 0),)
    assert (ledger.uses[0].drawn, ledger.uses[0].open) == (500, 0)


def test_it_is_written_down_in_the_calendar_of_who_wrote_it() -> None:
    there = {"at": "2026-11-22T08:00:00-06:00", "received": "2026-11-22T08:05:00-06:00"}
    counted = {"at": "2026-11-22T09:30:00-06:00", "received": "2026-11-22T09:30:00-06:00"}
    lines = [TEN | there, raw("x", 7, "recalled", reason="letter"), raw("c1", 8, "counted", units=9) | counted]
    told = json.loads(json.dumps(stock.to_dict(book(*lines, hour=8))))
    assert told["now"] == "2026-11-22T10:00:00-06:00"
    (lot,) = told["lots"]
    assert lot["expires"] == "2027-03-31T23:59:59-06:00"
    assert (lot["since"], lot["recalled"]) == (there["at"], "2026-11-22T09:00:00-06:00")
    assert lot["counts"][0]["at"] == counted["at"]
    first, recalled, _ = (line["entry"] for line in told["lines"])
    assert {name: first[name] for name in there} == there
    assert recalled["at"] == "2026-11-22T15:00:00+00:00"  # as it was written
    assert {flag["at"] for flag in told["flags"]} == {counted["at"], told["now"]}


FLAGGED = [
    # why, entries, hour asked, codes
    ("one signature", [TEN | {"witness": ""}], 10, ["one-signature"]),
    ("both signatures by one", [TEN | {"witness": "nina ortiz "}], 10, ["one-signature"]),
    ("more out than in", [TEN, ALL_OUT | {"units": 11}, ALL_BACK | {"units": 11}], 10, ["negative"]),
    ("all of it out", [TEN, ALL_OUT, ALL_BACK], 10, []),
    ("lot that never came", [raw("i1", 1, "destroyed", units=1, reason="broken")], 10, ["unknown-lot", "negative"]),
    ("expired when issued", [OLD, OUT], 10, ["expired", "expired-shelf"]),
    ("on the day of expiry", [OLD | {"expiry": "2026-11-22"}, OUT], 10, ["expires-soon"]),
    ("recalled, then issued", [TEN, LETTER, OUT], 10, ["recalled", "recalled-shelf"]),
    ("issued, then recalled", [TEN, OUT, raw("x", 2, "recalled", reason="maker's letter")], 10, ["recalled-shelf"]),
    ("count below the book", [TEN, raw("c1", 3, "counted", units=9)], 10, ["discrepancy"]),
    ("count above the book", [TEN, raw("c1", 3, "counted", units=11)], 10, ["discrepancy"]),
    ("more wasted than drawn", [TEN, OUT, GIVEN, REST | {"mg": 466}], 10, ["over"]),
    ("rest not accounted for, same day", [TEN, OUT, GIVEN], 10, []),
    ("rest not accounted for, later", [TEN, OUT, GIVEN], 27, ["open"]),
    ("written down in time", [raw("r1", 0, "received", received=1, units=1, expiry="2027-03")], 30, []),
    ("written down late", [raw("r1", 0, "received", received=1.1, units=1, expiry="2027-03")], 30, ["late"]),
    ("written down after the shift", [TEN, OUT, GIVEN | {"received": "2026-11-22T18:00:00Z"}, REST], 12, ["late"]),
    ("mL and mg of another strength", [TEN, OUT, GIVEN | {"ml": 7}, REST], 10, ["strength"]),
    ("mL and mg, rounded", [TEN, OUT, GIVEN | {"ml": 0.72}, REST], 10, []),
    ("wasted mL of another strength", [TEN, OUT, GIVEN, REST | {"ml": 93}], 10, ["strength"]),
    ("mg alone", [TEN, OUT, {k: v for k, v in GIVEN.items() if k != "ml"}, REST], 10, []),
    ("mL of what is no solution", [TEN | SPRAY, OUT | SPRAY, GIVEN | SPRAY | {"mg": 28}], 10, []),
    ("not yet happened", [raw("r1", 2, "received", received=1, units=1, expiry="2027-03")], 10, ["early"]),
    ("product of nobody", [TEN | {"product": "ketamine-syringe-20"}], 10, ["unknown-product"]),
    ("two expiry dates", [TEN, raw("r2", 1, "received", units=1, expiry="2027-04")], 10, ["other-expiry"]),
    ("count due", [TEN], 24 * 7 + 0.1, ["count-due"]),
    ("count not yet due", [TEN], 24 * 7, []),
    ("the same line twice", [TEN, TEN], 10, []),
    ("one id, two stories", [TEN, TEN | {"units": 12}], 10, ["duplicate"]),
    ("corrects nothing", [TEN, WITHDRAWN], 10, ["no-original"]),
    ("explains nothing", [TEN, raw("k", 1, "explained", count="z9", units=-1, reason="found")], 10, ["no-original"]),
    ("correction of another kind", [TEN, HALF_PUT_RIGHT], 10, ["bad-correction"]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "lines", "hour", "expected"), FLAGGED, ids=[f[0] for f in FLAGGED])
def test_flags(why: str, lines: list[dict[str, Any]], hour: float, expected: list[str]) -> None:
    assert codes(book(*lines, hour=hour)) == expected


def test_every_flag_has_its_words_and_a_case() -> None:
    assert set(KNOWLEDGE.content["stock"]["flag"]) == {code for case in FLAGGED for code in case[3]}


def test_what_is_put_back_unopened_was_not_drawn() -> None:
    ledger = book(TEN, OUT | {"units": 2}, raw("b1", 2, "returned", units=1, session="s1"), GIVEN, REST)
    assert codes(ledger) == []
    assert (ledger.uses[0].packages, ledger.uses[0].drawn, ledger.uses[0].open) == (1, 500, 0)


def test_a_difference_is_never_absorbed_only_explained() -> None:
    short = (TEN, raw("c1", 3, "counted", units=9), raw("c2", 5, "counted", units=9))
    ledger = book(*short)
    assert codes(ledger) == ["discrepancy", "discrepancy"]
    assert ledger.lots[0].balance == 10
    assert "counted 9, book 10" in ledger.flags[0].says
    explained = raw("e1", 6, "explained", count="c1", units=-1, reason="broken on 20 November, report 12", report="12")
    ledger = book(*short, explained)
    assert codes(ledger) == []
    assert ledger.lots[0].balance == 9
    assert ledger.lots[0].counts[0] == stock.Count("c1", EIGHT + 3 * HOUR, 9, 10, -1, -1)  # it stays to be seen
    assert codes(book(*short, explained | {"units": -2})) == ["discrepancy", "discrepancy"]  # too much explained


def test_one_person_alone_changes_no_book() -> None:
    count, alone = raw("c1", 3, "counted", units=9), {"witness": ""}
    explained = raw("e1", 6, "explained", count="c1", units=-1, reason="broken") | alone
    ledger = book(TEN, count, explained)
    assert (codes(ledger), ledger.lots[0].balance) == (["discrepancy", "one-signature"], 10)
    late = raw("k2", 7, "correction", corrects="r1", reason="Tom was there, forgot to sign")
    assert codes(book(TEN | alone, late)) == []
    gone = raw("k1", 6, "correction", corrects="r1", reason="never came", withdrawn=True) | alone
    ledger = book(TEN, gone)
    assert (codes(ledger), ledger.lots[0].balance) == (["one-signature"], 10)


def test_a_late_entry_stands_at_its_true_time_and_says_what_was_known_when() -> None:
    late = raw("i0", 1, "issued", received=6, units=1, session="s0")
    returned = raw("b0", 2, "wasted", received=6, mg=500, session="s0", reason="dropped")
    count = raw("c1", 3, "counted", units=9)
    assert codes(book(TEN, count, late, returned, hour=5)) == ["discrepancy"]
    ledger = book(TEN, count, late, returned, hour=7)
    assert codes(ledger) == ["late", "late"]
    assert [line.entry.id for line in ledger.lines] == ["r1", "i0", "b0", "c1"]


def test_a_correction_keeps_the_original() -> None:
    wrong = raw("i1", 1, "issued", units=2, session="s1")
    right = raw("k1", 4, "correction", corrects="i1", reason="one vial", data={"units": 1, "session": "s1"})
    ledger = book(TEN, wrong, GIVEN, REST, right)
    assert codes(ledger) == []
    issued = [line for line in ledger.lines if line.entry.id == "i1"]
    assert [(line.struck, line.entry.data["units"], line.corrected_by, line.balance) for line in issued] == [
        (True, 2, "k1", 10),
        (False, 1, "k1", 9),
    ]
    gone = raw("k2", 5, "correction", corrects="r1", reason="delivery of the other site", withdrawn=True)
    assert book(TEN, gone).lots[0].balance == 0
    moved = raw("k3", 5, "correction", corrects="i1", reason="wrong hour", true_at="2026-11-22T09:30:00+00:00")
    assert [line.entry.at for line in book(TEN, OUT, moved).lines if not line.struck][1] == EIGHT + round(1.5 * HOUR)


HELD = [
    # why, line, what the reason names
    ("half a line", b'{"id": "r1", "at": "2026', "one JSON object"),
    ("not UTF-8", b'{"id": "\xff"}', "one JSON object"),
    ("a list", "[]", "one JSON object"),
    ("no id", json.dumps({k: v for k, v in TEN.items() if k != "id"}), "id"),
    ("no offset", json.dumps(TEN | {"at": "2026-11-22T09:00:00"}), "offset"),
    ("no such kind", json.dumps(TEN | {"kind": "borrowed"}), "no such kind"),
    ("no expiry", json.dumps({k: v for k, v in TEN.items() if k != "expiry"}), "expiry"),
    ("expiry of nobody", json.dumps(TEN | {"expiry": "03/27"}), "expiry"),
    ("unknown field", json.dumps(TEN | {"colour": "blue"}), "colour"),
    ("half a vial", json.dumps(TEN | {"units": 0.5}), "units"),
    ("no vial", json.dumps(TEN | {"units": 0}), "units"),
    ("minus one", json.dumps(TEN | {"units": -1}), "units"),
    ("true vials", json.dumps(TEN | {"units": True}), "units"),
    ("no milligrams", json.dumps(GIVEN | {"mg": 0}), "mg"),
    ("witness is a number", json.dumps(TEN | {"witness": 7}), "witness"),
]


@pytest.mark.parametrize(("why", "line", "names"), HELD, ids=[h[0] for h in HELD])
def test_what_cannot_be_read_is_kept_with_its_reason(why: str, line: str | bytes, names: str) -> None:
    good = json.dumps(OUT)
    first, second = stock.read_ledger([line, good], KNOWLEDGE)
    assert isinstance(first, Held)
    assert isinstance(second, stock.Entry)
    assert names in first.why
    assert first.where == "line 1"
    assert first.raw.startswith(line.decode("utf-8", "backslashreplace") if isinstance(line, bytes) else line)


REFUSED = [
    ("there", "K7", 10, 1, None),
    ("one too many", "K7", 11, 1, "in the book"),
    ("never received", "K8", 1, 1, "never|ever received"),
    ("last day", "SOON", 1, 1, None),
    ("expired", "SOON", 1, 24, "has expired"),
    ("recalled", "BACK", 1, 1, "was recalled"),
]


@pytest.mark.parametrize(("why", "lot", "units", "hour", "says"), REFUSED, ids=[r[0] for r in REFUSED])
def test_issue_is_refused_beforehand(why: str, lot: str, units: int, hour: int, says: str | None) -> None:
    ledger = book(
        TEN,
        raw("r2", 0, "received", units=5, expiry="2026-11-22", lot="SOON"),
        raw("r3", 0, "received", units=5, expiry="2027-03", lot="BACK"),
        raw("x3", 1, "recalled", reason="maker's letter", lot="BACK"),
    )
    if says is None:
        stock.may_issue(ledger, VIAL, lot, units, EIGHT + hour * HOUR)
        return
    with pytest.raises(BadInput, match=says):
        stock.may_issue(ledger, VIAL, lot, units, EIGHT + hour * HOUR)


def test_waste_is_what_was_drawn_and_not_given() -> None:
    state = State(dose=Dose(given=(Given(EIGHT, EIGHT, 35.0, "e1"),)))
    assert stock.waste(state, VIAL, 1, KNOWLEDGE, now=EIGHT) == (465, 9.3)
    sprays = State(dose=Dose(given=(Given(EIGHT, EIGHT, 28.0, "e1"), Given(EIGHT, EIGHT, 28.0, "e2"))))
    assert stock.waste(sprays, DEVICE, 2, KNOWLEDGE, now=EIGHT) == (0, None)
    assert stock.waste(sprays, DEVICE, 3, KNOWLEDGE, now=EIGHT) == (28, None)
    with pytest.raises(BadInput, match="56 mg given, 28 mg drawn"):
        stock.waste(sprays, DEVICE, 1, KNOWLEDGE, now=EIGHT)
    with pytest.raises(BadInput, match="not known"):
        stock.waste(sprays, "ketamine-syringe-20", 1, KNOWLEDGE, now=EIGHT)
    running = State(dose=Dose(rate=75.0, since=EIGHT))
    with pytest.raises(BadInput, match="not known"):
        stock.waste(running, VIAL, 1, KNOWLEDGE, now=EIGHT + HOUR)


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["received", "issued", "returned", "destroyed", "counted"]),
        st.integers(0, 9),
        st.integers(1, 5),
    ),
    max_size=12,
)


def lines_of(drawn: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
    more = {
        "received": {"expiry": "2027-03"},
        "issued": {"session": "s1"},
        "returned": {"session": "s1"},
        "destroyed": {"reason": "broken"},
        "counted": {},
    }
    return [
        raw(f"e{n}", hour, kind, received=9, units=units, **more[kind]) for n, (kind, hour, units) in enumerate(drawn)
    ]


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_book_does_not_depend_on_the_order_of_arrival(drawn: list[tuple[str, int, int]], chance: Any) -> None:
    entries = read(*lines_of(drawn))
    mixed = [*entries, *entries]
    chance.shuffle(mixed)
    now = EIGHT + 10 * HOUR
    assert stock.reconcile(mixed, now, KNOWLEDGE) == stock.reconcile(entries, now, KNOWLEDGE)


@given(ENTRIES)
def test_the_book_is_what_came_in_minus_what_went_out_whatever_was_counted(drawn: list[tuple[str, int, int]]) -> None:
    signs = {"received": 1, "returned": 1, "issued": -1, "destroyed": -1, "counted": 0}
    ledger = book(*lines_of(drawn))
    assert sum(lot.balance for lot in ledger.lots) == sum(signs[kind] * units for kind, _, units in drawn)
    assert ("discrepancy" in codes(ledger)) == any(c.difference != 0 for lot in ledger.lots for c in lot.counts)


@given(ENTRIES, st.integers(0, 11))
def test_a_correction_never_erases(drawn: list[tuple[str, int, int]], which: int) -> None:
    lines = lines_of(drawn)
    withdrawn = raw("k", 9, "correction", corrects=f"e{which}", reason="typo", withdrawn=True)
    seen = {line.entry.id for line in book(*lines, withdrawn).lines}
    assert {line["id"] for line in lines} <= seen


# --- hostile lines ----------------------------------------------------------------------------------------------------


def kept(line: str | bytes) -> str:
    (found,) = stock.read_ledger([line], KNOWLEDGE)
    assert isinstance(found, Held), found
    return found.why


@pytest.mark.parametrize("depth", [300, 1000, 5000])
def test_an_entry_that_cannot_be_written_again_is_held(depth: int) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    right = raw("k", 1, "correction", corrects="r1", reason="typo", data="DATA")
    why = kept(json.dumps(right).replace('"DATA"', nested))
    assert "nested" in why or "JSON" in why


def test_what_is_said_twice_in_one_line_is_not_read_as_its_last_word() -> None:
    assert "twice" in kept(json.dumps(OUT)[:-1] + ',"units":7}')
    right = raw("k", 1, "correction", corrects="r1", reason="typo", data="DATA")
    assert "twice" in kept(json.dumps(right).replace('"DATA"', '{"units":1,"units":2}'))


@pytest.mark.parametrize("sign", ["\x00", "\x1b[2J", "\u202e", "\u200b", "\n"])
@pytest.mark.parametrize("field", ["id", "by", "witness", "product", "lot", "session", "reason"])
def test_no_sign_that_nobody_sees_makes_two_persons_of_one(field: str, sign: str) -> None:
    assert "seen" in kept(json.dumps({**OUT, "reason": "x", field: f"Nina Ortiz{sign}"}))


def test_a_mark_before_the_first_line_costs_nothing() -> None:
    text = json.dumps(TEN)
    for line in (f"\ufeff{text}", b"\xef\xbb\xbf" + text.encode()):
        (found,) = stock.read_ledger([line], KNOWLEDGE)
        assert isinstance(found, stock.Entry)


def test_what_was_written_down_later_is_told_though_it_does_not_count() -> None:
    """A clock that is ahead must not hide an ampoule."""
    ledger = book(TEN, raw("i1", 1, "issued", units=3, session="s1", received=900))
    assert ledger.lots[0].balance == 10
    assert ledger.later == 1
    assert stock.to_dict(ledger)["later"] == 1


def test_a_correction_or_an_explanation_of_another_lot_changes_nothing() -> None:
    other = raw("k", 2, "correction", corrects="r1", reason="typo", lot="M1", data={"units": 1, "expiry": "2027-03"})
    ledger = book(TEN, other)
    assert [(lot.lot, lot.balance) for lot in ledger.lots] == [("K7", 10), ("M1", 0)]
    assert "bad-correction" in codes(ledger)
    count = raw("c1", 2, "counted", units=8)
    ledger = book(TEN, count, raw("x1", 3, "explained", count="c1", units=-2, reason="found", lot="M1"))
    assert ledger.lots[0].balance == 10
    assert {"discrepancy", "bad-correction"} <= set(codes(ledger))


EDGES = {
    "at": ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-11:00"],
    "received": ["9999-12-31T23:59:59-11:00"],
    "expiry": ["9999-12", "9999", "0001-01-01"],
}


@pytest.mark.parametrize(("field", "when"), [(field, when) for field, times in EDGES.items() for when in times])
def test_a_time_at_the_edge_of_the_calendar_is_held(field: str, when: str) -> None:
    assert field in kept(json.dumps(TEN | {field: when}))


def test_a_correction_to_the_edge_of_the_calendar_is_held() -> None:
    moved = raw("k", 1, "correction", corrects="r1", reason="typo", true_at=EDGES["at"][1])
    assert "true_at" in kept(json.dumps(moved))
