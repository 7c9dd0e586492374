"""What holds for every message: nothing raises, worse words never lower a level, every letter is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adjunct.knowledge import Knowledge
from adjunct.messages import LEVELS, read_message

KNOWLEDGE = Knowledge.load()
DANGERS = st.sampled_from(
    [
        "I want to kill myself",
        "me duele el pecho",
        "elle ne se réveille pas",
        "ich habe brustschmerzen",
        "he took all his pills",
    ]
)
WORDS = st.lists(
    st.sampled_from("the a my we walk tea garden hoy merci und music lesson blue seven".split()), max_size=12
)


def rank(text: str) -> int:
    return LEVELS.index(read_message(KNOWLEDGE, text).level)


@given(st.text(max_size=300))
def test_any_text_is_answered(text):
    message = read_message(KNOWLEDGE, text)
    assert message.level in LEVELS
    assert message.tell
    assert all(0 <= hit.start < hit.end <= len(text) for hit in message.hits)


@given(WORDS, DANGERS, WORDS)
def test_a_danger_is_an_emergency_wherever_it_stands(before, danger, after):
    assert rank(f"{' '.join(before)}. {danger}. {' '.join(after)}") == LEVELS.index("emergency")


@given(DANGERS, st.text(max_size=60))
def test_another_sentence_never_lowers_a_level(danger, more):
    assert rank(f"{danger}.\n\n{more}") >= rank(danger)


@given(DANGERS, st.integers(0, 400))
def test_a_long_message_is_read_to_its_end(danger, lines):
    assert rank("we walked in the garden today.\n" * lines + danger) == LEVELS.index("emergency")


@given(DANGERS, st.sampled_from([str.upper, str.title, lambda t: f"  {t}!!! ", lambda t: t.replace(" ", "\u00a0")]))
def test_case_and_blanks_change_nothing(danger, written):
    assert rank(written(danger)) == rank(danger)


@given(st.integers(1, 400))
def test_repeating_a_word_of_danger_is_read_in_bounded_work(times):
    assert rank("suicide " * times + "no or " * times + ". chest pain") == LEVELS.index("emergency")
