"""The rule language: what each operator is read as, and that everything else is refused with its place."""

from __future__ import annotations

import re
import string

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adjunct.base import FAR, MS_PER_DAY, NO, YES, AdjunctError, Events, Row
from adjunct.knowledge.columns import Program
from adjunct.knowledge.language import And, Atom, Expression, Not, Or, RuleError, Vocabulary, atoms, parse

WORDS = Vocabulary(
    concepts={"systolic": 0, "hcg": 1, "substance": 2, "stroke": 3, "dose": 4, "weight": 5, "effect_serotonergic": 6},
    units={"systolic": "mm[Hg]", "hcg": "1", "weight": "kg", "dose": "mg"},
    facts={
        "bp.defer": (160.0, "mm[Hg]"),
        "bp.kilopascal": (20.0, "kPa"),
        "heavy": (100_000.0, "g"),
        "two.weeks": (14.0, "d"),
        "half.hour": (30.0, "min"),
        "tenth": (0.1, "d"),
        "hour": (1.0, "h"),
        "several": (3.0, "1"),
        "strong": (100.0, "{score}"),
        "before": (-1.0, "d"),
        "endless": (1e306, "d"),
    },
    codes={"sertraline": 0, "positive": 1, "negative": 2},
    sets={"ssri": frozenset({0}), "drôle": frozenset({0})},
    ages={"systolic": {"pre-dose": 1_800_000, "during": 0}},
    answers={"hcg": frozenset({"positive", "negative"})},
)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WHERE = "rules/bp.toml, rule too-high"


# --- what an expression is read as ------------------------------------------------------------------------------------

READ: dict[str, Expression] = {
    "exists(stroke)": Atom("any", "stroke"),
    "exists(stroke, within='30 min')": Atom("any", "stroke", within=30 * MINUTE),
    "exists(stroke, within='ever')": Atom("any", "stroke", within=FAR),
    "exists(stroke, within='0 d')": Atom("any", "stroke", within=0),
    "exists(stroke, within=fact('two.weeks'))": Atom("any", "stroke", within=14 * DAY),
    "exists(stroke, within=fact('half.hour'))": Atom("any", "stroke", within=30 * MINUTE),
    "any(substance)": Atom("any", "substance"),
    "any(substance, in_='ssri')": Atom("any", "substance", in_set="ssri"),
    "any(substance, within='14 d', in_='ssri')": Atom("any", "substance", within=14 * DAY, in_set="ssri"),
    "all(substance, in_='ssri')": Atom("all", "substance", in_set="ssri"),
    "all(substance, in_='ssri', within='1 d')": Atom("all", "substance", within=DAY, in_set="ssri"),
    "count(dose) > 1": Atom("count", "dose", compare=">", against=1.0),
    "count(dose, within='24 h') >= fact('several')": Atom("count", "dose", DAY, None, ">=", 3.0),
    "latest(systolic) >= fact('bp.defer')": Atom("latest", "systolic", compare=">=", against=160.0),
    "latest(systolic, within='5 min') < fact('bp.defer')": Atom("latest", "systolic", 5 * MINUTE, None, "<", 160.0),
    "latest(weight) > fact('heavy')": Atom("latest", "weight", compare=">", against=100.0),  # in the concept's unit
    "latest(weight) != 0": Atom("latest", "weight", compare="!=", against=0.0),
    "latest(weight) <= 2": Atom("latest", "weight", compare="<=", against=2.0),
    "latest(stroke) == fact('several')": Atom("latest", "stroke", compare="==", against=3.0),  # without a unit: "1"
    "latest(hcg) == 'positive'": Atom("latest", "hcg", compare="==", against="positive"),
    "latest(hcg, within='7 d') != 'negative'": Atom("latest", "hcg", 7 * DAY, None, "!=", "negative"),
    "load('serotonergic') >= fact('strong')": Atom("load", "effect_serotonergic", compare=">=", against=100.0),
    "load('serotonergic') > 0": Atom("load", "effect_serotonergic", compare=">", against=0.0),
    "days_since(dose) < fact('two.weeks')": Atom("days_since", "dose", FAR, None, "<", 14.0 * DAY),
    "days_since(dose) < fact('hour')": Atom("days_since", "dose", FAR, None, "<", float(HOUR)),
    "days_since(dose) > 2": Atom("days_since", "dose", FAR, None, ">", 2.0 * DAY),
    "not exists(stroke)": Not(Atom("any", "stroke")),
    "not not exists(stroke)": Not(Not(Atom("any", "stroke"))),
    "(exists(stroke))": Atom("any", "stroke"),
    "exists(stroke) and exists(hcg) and exists(dose)": And(
        (Atom("any", "stroke"), Atom("any", "hcg"), Atom("any", "dose"))
    ),
    "exists(stroke) or exists(hcg) and not exists(dose)": Or(
        (Atom("any", "stroke"), And((Atom("any", "hcg"), Not(Atom("any", "dose")))))
    ),
    "(exists(stroke) or exists(hcg)) and exists(dose)": And(
        (Or((Atom("any", "stroke"), Atom("any", "hcg"))), Atom("any", "dose"))
    ),
    "(exists(stroke)\n  or exists(hcg))\n": Or((Atom("any", "stroke"), Atom("any", "hcg"))),
}


@pytest.mark.parametrize("text", READ)
def test_an_expression_is_read_into_its_tree(text: str) -> None:
    assert parse(text, WORDS) == READ[text]


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
def test_every_comparison_keeps_its_sign(sign: str) -> None:
    read = parse(f"count(dose) {sign} 1", WORDS)
    assert read == Atom("count", "dose", compare=sign, against=1.0)


def test_numbers_and_windows_have_one_type_each() -> None:
    """Equal trees are the same column later on; 1 and 1.0 would print differently."""
    for text in ("count(dose) > 1", "days_since(dose) > 1", "latest(weight) > fact('heavy')"):
        (atom,) = atoms(parse(text, WORDS))
        assert type(atom.against) is float
    for text in ("exists(dose, within='1.5 h')", "exists(dose, within=fact('tenth'))"):
        (atom,) = atoms(parse(text, WORDS))
        assert type(atom.within) is int


def test_every_question_of_an_expression_is_found_in_order() -> None:
    text = "exists(stroke) and (not exists(hcg) or count(dose) > 1) and not (exists(dose) and exists(stroke))"
    asked = [(a.op, a.concept) for a in atoms(parse(text, WORDS))]
    assert asked == [("any", "stroke"), ("any", "hcg"), ("count", "dose"), ("any", "dose"), ("any", "stroke")]


@pytest.mark.parametrize(
    ("atom", "phase", "length"),
    [
        (Atom("any", "systolic", within=5), "pre-dose", 5),
        (Atom("any", "systolic", within=0), "pre-dose", 0),
        (Atom("any", "systolic"), "pre-dose", 1_800_000),
        (Atom("any", "systolic"), "during", 0),
        (Atom("any", "systolic"), "intake", 0),
        (Atom("any", "hcg"), "pre-dose", 0),
    ],
)
def test_a_window_is_the_rules_own_or_the_concepts_age_limit(atom: Atom, phase: str, length: int) -> None:
    assert WORDS.window(atom, phase) == length


def test_a_vocabulary_of_concepts_alone_will_do() -> None:
    bare = Vocabulary(concepts={"c": 0})
    assert parse("count(c) > 1", bare) == Atom("count", "c", compare=">", against=1.0)
    assert bare.window(Atom("any", "c"), "intake") == 0
    with pytest.raises(RuleError, match="'yes' is no answer of c"):
        parse("latest(c) == 'yes'", bare)


# --- limits are met exactly -------------------------------------------------------------------------------------------


def truth(text: str, rows: list[Row], now: int) -> int:
    silence = np.full((len(WORDS.concepts), 1), NO, dtype=np.int8)
    outcome = Program([parse(text, WORDS)], WORDS, "pre-dose").run(Events.of(rows, now=[now], absent=silence))
    return int(outcome.truths[0, 0])


@pytest.mark.parametrize(("fact", "limit"), [("two.weeks", 14 * DAY), ("tenth", DAY // 10), ("hour", HOUR)])
@pytest.mark.parametrize(
    ("sign", "below", "at", "above"),
    [
        ("<", YES, NO, NO),
        ("<=", YES, YES, NO),
        (">", NO, NO, YES),
        (">=", NO, YES, YES),
        ("==", NO, YES, NO),
        ("!=", YES, NO, YES),
    ],
)
def test_days_since_is_exact_to_the_millisecond(
    fact: str, limit: int, sign: str, below: int, at: int, above: int
) -> None:
    now = 1_795_339_800_123
    for off, expected in ((-1, below), (0, at), (1, above)):
        then = now - limit - off
        assert truth(f"days_since(dose) {sign} fact('{fact}')", [Row(4, then, then)], now) == expected


@pytest.mark.parametrize("days", [0.1, 1 / 3, 0.7, 13.999, 1e-9])
def test_a_limit_in_days_is_a_whole_number_of_milliseconds(days: float) -> None:
    words = Vocabulary(concepts={"c": 0}, facts={"limit": (days, "d")})
    read = parse("days_since(c) >= fact('limit')", words)
    assert isinstance(read, Atom)
    assert read.against == float(round(days * MS_PER_DAY))


def test_a_limit_in_another_unit_is_met_exactly() -> None:
    words = Vocabulary(concepts={"temperature": 0}, units={"temperature": "Cel"}, facts={"fever": (101.3, "[degF]")})
    assert parse("latest(temperature) >= fact('fever')", words) == Atom(
        "latest", "temperature", compare=">=", against=38.5
    )


# --- what is refused --------------------------------------------------------------------------------------------------

EXPECTED = "expected exists, any, all, a comparison, or these joined by and, or, not"
LEFT = "only latest, count, days_since and load compare, and they stand on the left"
COMPARE = "compare with fact('id'), with 0, 1 or 2, or (latest only) with an answer in quotes"
SIGNS = "only < <= > >= == != compare"
ONE = "one concept, by name, is expected in the parentheses"
FACT = "fact('id') is expected"
WITHIN = "within is a duration such as '30 min', or fact('...') with a unit of time"
WINDOW = "a window is not negative, and no longer than 'ever'"
CODE = "a code is compared with == or != only"


def mismatch(fact: str, own: str, expected: str) -> str:
    return f"fact {fact!r}: unit {own!r} does not measure this: a unit like {expected!r} was expected"


def no_duration(text: str) -> str:
    return f"not a duration: {text!r}; write for example '30 min', '14 d', '5 wk', 'ever'"


REFUSED = [
    # concepts
    ("exists(nobody)", 8, "unknown concept 'nobody'"),
    ("exists(stroke) and exists(nobody)", 27, "unknown concept 'nobody'"),
    ("latest(nobody) > 1", 8, "unknown concept 'nobody'"),
    ("exists()", 1, ONE),
    ("exists('stroke')", 1, ONE),
    ("exists(stroke, hcg)", 1, ONE),
    ("exists(stroke, '30 min')", 1, ONE),
    ("exists(*stroke)", 1, ONE),
    ("exists(a.b)", 1, ONE),
    ("exists(stroke and hcg)", 1, ONE),
    ("exists(1)", 1, ONE),
    ("count() > 1", 1, ONE),
    ("days_since('dose') > 1", 1, ONE),
    # options
    ("exists(stroke, in_='ssri')", 20, "'in_' is no option here"),
    ("exists(stroke, since='1 d')", 22, "'since' is no option here"),
    ("exists(stroke, **x)", 18, "'**' is no option here"),
    ("any(substance, in_='ssri', kind=1)", 33, "'kind' is no option here"),
    ("latest(systolic, in_='ssri') > 1", 22, "'in_' is no option here"),
    ("count(dose, in_='ssri') > 1", 17, "'in_' is no option here"),
    ("days_since(dose, within='1 d') > 1", 25, "'within' is no option here"),
    ("exists(stroke, within='1 d', within='2 d')", 37, "'within' is given twice"),
    ("any(substance, in_='ssri', within='2 d', in_='ssri')", 46, "'in_' is given twice"),
    ("all(substance)", 1, "all() needs in_='set'"),
    ("all(substance, within='1 d')", 1, "all() needs in_='set'"),
    # sets
    ("any(substance, in_='nothing')", 20, "no such value set: \"'nothing'\""),
    ("any(substance, in_=ssri)", 20, "no such value set: 'ssri'"),
    ("any(substance, in_=None)", 20, "no such value set: 'None'"),
    ("any(substance, in_=('ssri', 'ssri'))", 20, "no such value set: \"('ssri', 'ssri')\""),
    ("any(substance, in_=b'ssri')", 20, "no such value set: \"b'ssri'\""),
    ("any(substance, in_='" + "x" * 200 + "')", 20, "no such value set: \"'" + "x" * 59 + "…\""),
    # windows
    ("exists(stroke, within='soon')", 23, no_duration("soon")),
    ("exists(stroke, within='')", 23, no_duration("")),
    ("exists(stroke, within=30)", 23, WITHIN),
    ("exists(stroke, within=None)", 23, WITHIN),
    ("exists(stroke, within=ever)", 23, WITHIN),
    ("exists(stroke, within=max('1 d'))", 23, WITHIN),
    ("exists(stroke, within=fact('bp.defer'))", 23, mismatch("bp.defer", "mm[Hg]", "s")),
    ("exists(stroke, within=fact('several'))", 23, mismatch("several", "1", "s")),
    ("exists(stroke, within=fact('nothing'))", 23, "no fact 'nothing' with a single number"),
    ("exists(stroke, within=fact('before'))", 23, WINDOW),
    ("exists(stroke, within=fact('endless'))", 23, WINDOW),
    ("exists(stroke, within='40000000 a')", 23, "longer than any calendar: '40000000 a'; write 'ever'"),
    ("exists(stroke, within='" + "9" * 400 + " d')", 23, f"longer than any calendar: '{'9' * 60}\u2026'; write 'ever'"),
    # facts
    ("latest(systolic) > fact('nothing')", 20, "no fact 'nothing' with a single number"),
    ("latest(systolic) > fact('two.weeks')", 20, mismatch("two.weeks", "d", "mm[Hg]")),
    ("latest(weight) > fact('bp.defer')", 18, mismatch("bp.defer", "mm[Hg]", "kg")),
    ("latest(stroke) > fact('heavy')", 18, mismatch("heavy", "g", "1")),
    ("count(systolic) > fact('bp.defer')", 19, mismatch("bp.defer", "mm[Hg]", "1")),
    ("days_since(dose) > fact('several')", 20, mismatch("several", "1", "d")),
    ("load('serotonergic') > fact('hour')", 24, mismatch("hour", "h", "1")),
    ("latest(systolic) > fact(bp)", 20, FACT),
    ("latest(systolic) > fact()", 20, FACT),
    ("latest(systolic) > fact(1)", 20, FACT),
    ("latest(systolic) > fact('bp.defer', 'bp.defer')", 20, FACT),
    ("latest(systolic) > fact('bp.defer', unit='kPa')", 20, FACT),
    ("latest(systolic) > fact(f'bp.defer')", 20, FACT),
    ("fact('bp.defer')", 1, EXPECTED),
    ("fact('bp.defer') > 1", 1, LEFT),
    # numbers
    ("latest(systolic) > 160", 20, COMPARE),
    ("latest(systolic) > 3", 20, COMPARE),
    ("latest(systolic) > -1", 20, COMPARE),
    ("latest(systolic) > 1.0", 20, COMPARE),
    ("latest(systolic) > 0.0", 20, COMPARE),
    ("latest(systolic) > 1e0", 20, COMPARE),
    ("latest(systolic) > 1j", 20, COMPARE),
    ("latest(systolic) == True", 21, COMPARE),
    ("latest(systolic) == False", 21, COMPARE),
    ("latest(systolic) == None", 21, COMPARE),
    ("latest(systolic) == ...", 21, COMPARE),
    ("latest(systolic) > 1 + 1", 20, COMPARE),
    ("latest(systolic) > fact('bp.defer') - 1", 20, COMPARE),
    ("latest(systolic) > fact('bp.defer') * fact('several')", 20, COMPARE),
    ("latest(systolic) > systolic", 20, COMPARE),
    ("latest(systolic) > (1,)", 20, COMPARE),
    ("latest(systolic) + 1 > 2", 1, LEFT),
    # answers
    ("latest(hcg) == 'maybe'", 16, "'maybe' is no answer of hcg"),
    ("latest(hcg) == 'Positive'", 16, "'Positive' is no answer of hcg"),
    ("latest(systolic) == 'positive'", 21, "'positive' is no answer of systolic"),
    ("latest(hcg) == b'positive'", 16, COMPARE),
    ("count(hcg) == 'positive'", 15, COMPARE),
    ("days_since(hcg) == 'positive'", 20, COMPARE),
    ("load('serotonergic') == 'positive'", 25, COMPARE),
    ("latest(hcg) < 'positive'", 15, CODE),
    ("latest(hcg) <= 'positive'", 16, CODE),
    ("latest(hcg) > 'positive'", 15, CODE),
    ("latest(hcg) >= 'positive'", 16, CODE),
    # comparisons
    ("latest(systolic)", 1, EXPECTED),
    ("count(dose)", 1, EXPECTED),
    ("days_since(dose)", 1, EXPECTED),
    ("load('serotonergic')", 1, EXPECTED),
    ("exists(stroke) > 0", 1, LEFT),
    ("fact('bp.defer') <= latest(systolic)", 1, LEFT),
    ("1 < count(dose)", 1, LEFT),
    ("exists(hcg) and fact('bp.defer') <= latest(systolic)", 17, LEFT),
    ("latest(systolic) > latest(weight)", 20, COMPARE),
    ("0 < latest(systolic) < 2", 1, EXPECTED),
    ("latest(systolic) < 1 < 2", 1, EXPECTED),
    ("latest(systolic) in (1, 2)", 21, SIGNS),
    ("latest(systolic) not in (1, 2)", 25, SIGNS),
    ("latest(hcg) is 1", 16, SIGNS),
    ("latest(hcg) is not 1", 20, SIGNS),
    # loads
    ("load('sedating') > 0", 1, "no substance has the effect 'sedating'"),
    ("load('') > 0", 1, "no substance has the effect ''"),
    ("load(serotonergic) > 0", 1, LEFT),
    ("load() > 0", 1, LEFT),
    ("load(1) > 0", 1, LEFT),
    ("load('serotonergic', 'sedating') > 0", 1, LEFT),
    ("load('serotonergic', within='1 d') > 0", 1, LEFT),
    # everything else that Python can say
    ("stroke", 1, EXPECTED),
    ("1", 1, EXPECTED),
    ("True", 1, EXPECTED),
    ("'exists(stroke)'", 1, EXPECTED),
    ("stroke.onset", 1, EXPECTED),
    ("knowledge.exists(stroke)", 1, EXPECTED),
    ("exists(stroke).real", 1, EXPECTED),
    ("exists(stroke)(stroke)", 1, EXPECTED),
    ("exists(stroke)[0]", 1, EXPECTED),
    ("systolic.latest(1) > 1", 1, LEFT),
    ("lambda: exists(stroke)", 1, EXPECTED),
    ("eval('1')", 1, EXPECTED),
    ("__import__('os')", 1, EXPECTED),
    ("Exists(stroke)", 1, EXPECTED),
    ("min(systolic) > 1", 1, LEFT),
    ("exists(stroke) if exists(hcg) else exists(dose)", 1, EXPECTED),
    ("[exists(stroke)]", 1, EXPECTED),
    ("(exists(stroke), exists(hcg))", 1, EXPECTED),
    ("{'a': exists(stroke)}", 1, EXPECTED),
    ("[exists(c) for c in stroke]", 1, EXPECTED),
    ("(x := exists(stroke))", 2, EXPECTED),
    ("exists(stroke) & exists(hcg)", 1, EXPECTED),
    ("exists(stroke) | exists(hcg)", 1, EXPECTED),
    ("~exists(stroke)", 1, EXPECTED),
    ("-exists(stroke)", 1, EXPECTED),
    ("exists(stroke) + exists(hcg)", 1, EXPECTED),
    ("f'{exists(stroke)}'", 1, EXPECTED),
    ("exists(stroke) and stroke", 20, EXPECTED),
    ("exists(stroke) or not hcg", 23, EXPECTED),
    # letters of more than one byte, and more than one line
    ("any(substance, in_='drôle') and stroke", 33, EXPECTED),
    ("latest(hcg) == '日本' or exists(x)", 16, "'日本' is no answer of hcg"),
    ("exists(été)", 8, "unknown concept 'été'"),
    ("any(substance, in_='drôle') and exists(été) or 日本", 40, "unknown concept 'été'"),
    ("(exists(stroke) or\n  exists(nobody))", 29, "unknown concept 'nobody'"),
    ("(exists(stroke) or\n any(substance, in_='drôle') and stroke)", 53, EXPECTED),
    ("(any(substance, in_='drôle') or\r\n  stroke)", 36, EXPECTED),
    ("(exists(stroke) or\r  stroke)", 22, EXPECTED),
    ("(exists(stroke) or\n\n\n  any(substance, in_='drôle') and\nstroke)", 56, EXPECTED),
]  # fmt: skip


@pytest.mark.parametrize(("text", "position", "message"), REFUSED)
def test_what_is_no_rule_is_refused_with_file_rule_and_position(text: str, position: int, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text, WORDS, WHERE)
    assert str(caught.value) == f"{message} (at {WHERE}, position {position})"
    assert caught.value.at == f"{WHERE}, position {position}"


# Positions of syntax errors are Python's own; only those that cannot be elsewhere are pinned.
NO_EXPRESSION = [
    ("", 1),
    ("   ", None),
    ("\n", None),
    ("exists(stroke", 7),
    ("exists(stroke))", 15),
    ("(exists(stroke) or\n exists(hcg", 27),
    ("exists(stroke) and", 19),
    ("exists(stroke) exists(hcg)", None),
    ("exists(stroke);", 15),
    ("exists(stroke); import os", 15),
    ("import os", 1),
    ("x = exists(stroke)", None),
    ("x == exists(stroke) =", None),
    ("exists(within='1 d', stroke)", None),
    ("exists(stroke) && exists(hcg)", None),
    ("!exists(stroke)", 1),
    ("latest(systolic) => 1", None),
    ("latest(systolic) ≥ 1", 18),
    ("any(substance, in_='drôle') ≥ 1", 29),
    ("latest(hcg) == 'positive", 16),
    ("latest(hcg) == “positive”", 16),
    ("exists(stroke)\nexists(hcg)", None),
    (" exists(stroke)", None),
    ("exists(stroke) or\\", None),
    ("return 1", 1),
    ("exists(stroke)\0", None),
    ("\0", None),
    ("\ud800", None),
    ("latest(hcg) == '\ud800'", None),
    ("👩‍⚕️", 1),
]


@pytest.mark.parametrize(("text", "position"), NO_EXPRESSION)
def test_what_is_no_expression_is_refused(text: str, position: int | None) -> None:
    with pytest.raises(RuleError, match=r"^not an expression: [^N]") as caught:
        parse(text, WORDS, WHERE)
    placed = re.fullmatch(re.escape(WHERE) + r", position (\d+)", caught.value.at)
    assert placed
    assert 1 <= int(placed[1]) <= len(text) + 2
    if position is not None:
        assert int(placed[1]) == position


@pytest.mark.parametrize("text", ["exists(stroke)\0", "\ud800"])
def test_what_python_cannot_even_read_is_refused_at_its_start(text: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text, WORDS, WHERE)
    assert caught.value.at == f"{WHERE}, position 1"


DEEP = {
    "not": "not " * 5_000 + "exists(stroke)",
    "very deep not": "not " * 200_000 + "exists(stroke)",
    "minus": "-" * 200_000 + "1",
    "parentheses": "(" * 50_000 + "exists(stroke)" + ")" * 50_000,
    "open parentheses": "(" * 100_000,
    "calls": "exists(" * 50_000,
    "sum": "any(substance, in_=" + "x+" * 20_000 + "x)",
    "attributes": "exists(stroke)" + ".a" * 50_000,
    "chain": "exists(stroke)" + "()" * 50_000,
}


@pytest.mark.parametrize("kind", DEEP)
def test_an_expression_that_is_too_deep_is_a_rule_error(kind: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse(DEEP[kind], WORDS, WHERE)
    assert caught.value.at.startswith(f"{WHERE}, position ")
    assert len(str(caught.value)) < 300


def test_too_deep_is_said_so() -> None:
    for kind in ("not", "very deep not"):
        with pytest.raises(RuleError) as caught:
            parse(DEEP[kind], WORDS, WHERE)
        assert str(caught.value) == f"not an expression: nested too deeply (at {WHERE}, position 1)"


def test_a_long_expression_is_not_a_deep_one() -> None:
    read = parse(" or ".join(["exists(stroke)"] * 20_000), WORDS)
    assert isinstance(read, Or)
    assert len(read.parts) == 20_000


def test_an_error_stops_the_program_with_the_status_of_a_refusal() -> None:
    assert RuleError.exit_code == 3
    assert issubclass(RuleError, AdjunctError)
    with pytest.raises(RuleError, match=r"\(at expression, position 1\)$"):
        parse("stroke", WORDS)


def test_an_error_hides_the_python_behind_it() -> None:
    for text in ("exists(", "\0", "not " * 5_000 + "x", "exists(stroke, within='x')", "latest(weight) > fact('hour')"):
        with pytest.raises(RuleError) as caught:
            parse(text, WORDS)
        assert caught.value.__suppress_context__


# --- whatever is written ----------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    "exists any all count latest load days_since fact ( ) , systolic hcg substance 'positive' 'ssri' '30_min' within= "
    "in_= and or not < >= == 0 1 160 1.5 'bp.defer' 'serotonergic' lambda: . * é # nobody [ ] None True if else".split()
)


@given(
    st.lists(PIECES | st.just("\n"), max_size=14).map(" ".join)
    | st.text(max_size=30)
    | st.text(string.printable, max_size=30)
)
@example("exists(stroke) and (\r\n\x0c exists(x))")
@example("\ufeffexists(é)")
@example("\x0cexists(é)")
@pytest.mark.filterwarnings("ignore")  # Python's own warnings of odd literals in what is thrown at it
def test_any_text_is_a_rule_or_a_rule_error(text: str) -> None:
    try:
        read = parse(text, WORDS, WHERE)
    except RuleError as error:
        place = error.at
    else:
        place = f"{WHERE}, position 1"
        assert all(atom.concept in WORDS.concepts for atom in atoms(read))
    assert place.startswith(f"{WHERE}, position ")


written = st.recursive(
    st.sampled_from([text for text, tree in READ.items() if isinstance(tree, Atom)]).map(lambda t: (t, READ[t])),
    lambda inner: st.one_of(
        inner.map(lambda e: (f"not ({e[0]})", Not(e[1]))),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda es: (" and ".join(f"({t})" for t, _ in es), And(tuple(e for _, e in es)))
        ),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda es: (" or ".join(f"({t})" for t, _ in es), Or(tuple(e for _, e in es)))
        ),
    ),
    max_leaves=8,
)


@given(written)
def test_a_tree_that_is_written_out_is_read_back(pair: tuple[str, Expression]) -> None:
    text, tree = pair
    assert parse(text, WORDS) == tree
