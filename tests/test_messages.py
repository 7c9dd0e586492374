"""What people write, read as a triage nurse would: tables of invented messages, and the promises of the answer."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from adjunct.base import BadInput
from adjunct.knowledge import Knowledge
from adjunct.messages import LEVELS, Message, read_message

CASES = Path(__file__).parent / "cases"
LANGUAGES = ("en", "es", "fr", "de")
KNOWLEDGE = Knowledge.load()


def rows(name: str) -> list[dict[str, str]]:
    with (CASES / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


FIRST, LATER = rows("messages.csv"), rows("messages_later.csv")


def read(text: str, **given: str) -> Message:
    return read_message(KNOWLEDGE, text, **given)


@pytest.mark.parametrize("row", [*FIRST, *LATER], ids=lambda row: row["text"][:60])
def test_a_message_is_read_as_its_row_says(row):
    message = read(row["text"])
    assert message.level == row["level"], [(h.flag, h.words, h.context) for h in message.hits]
    assert set(filter(None, row["flags"].split(";"))) <= set(message.flags)
    if row["level"] == "none":
        assert message.flags == ()


@pytest.mark.parametrize("row", rows("messages_en_es.csv"), ids=lambda row: row["text"][:60])
def test_a_message_written_to_a_clinic_at_night_is_read_as_a_charge_nurse_would(row):
    message = read(row["text"])
    assert message.level == row["level"], [(h.flag, h.words, h.context) for h in message.hits]
    assert set(filter(None, row["flags"].split(";"))) <= set(message.flags)


def test_the_tables_are_large_enough_to_mean_something():
    assert len(FIRST) >= 500
    assert len(LATER) >= 200
    assert all(sum(row["language"] == code for row in FIRST) >= 100 for code in LANGUAGES)


def test_no_emergency_of_the_tables_is_missed():
    missed = [r["text"] for r in [*FIRST, *LATER] if r["level"] == "emergency" and read(r["text"]).level != "emergency"]
    assert missed == []


# --- suicide: never read away -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("I am not suicidal", "same-day"),
        ("no suicidal thoughts, no plan", "same-day"),
        ("in the movie he commits suicide", "same-day"),
        ("what are the signs of suicide?", "same-day"),
        ("20 years ago I tried to kill myself", "same-day"),
        ("yesterday I tried to kill myself", "emergency"),
        ("my brother wants to kill himself", "emergency"),
        ("not suicidal today but I bought a rope", "emergency"),
        ("killing time", "none"),
    ],
)
def test_a_suicide_word_is_asked_about_whatever_stands_around_it(text, level):
    message = read(text)
    assert message.level == level
    assert (message.asks == ("cssrs",)) is (level != "none")


def test_sick_of_living_is_no_idiom_and_sick_days_are():
    assert read("I am sick of living").flags == ("suicide_concern",)
    assert read("how many sick days do I have").level == "none"


# --- negation: only a certain one takes a sign away -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("no chest pain", "none"),
        ("no fever, chest pain or rash", "none"),
        ("Chest pain: none", "none"),
        ("no chest pain until this morning", "emergency"),
        ("not sure if it's chest pain", "emergency"),
        ("no fever, chest pain since this morning", "emergency"),  # a list needs an "or": doubt goes up
        ("no i have chest pain", "emergency"),
        ("I don't have no chest pain", "emergency"),
        ("no fever and chest pain", "emergency"),
        ("the chest pain does not go away", "emergency"),
        ("no tengo dolor de pecho", "none"),
        ("no tengo ningún dolor de pecho", "none"),
        ("non j'ai mal à la poitrine", "emergency"),
        ("je n'ai pas de douleur à la poitrine", "none"),
        ("nein ich habe brustschmerzen", "emergency"),
        ("Brustschmerzen habe ich keine", "none"),
        ("he does not wake up", "emergency"),  # the finding holds its own "not"
    ],
)
def test_doubt_about_a_negation_goes_up(text, level):
    assert read(text).level == level


# --- spelling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "I WANT TO KILL MYSELF",
        "i want to kiiiill myself",
        "i want to k!ll mys3lf",
        "i want to k\u200bill my\u00adself",
        "i want to kіll mуself",  # Cyrillic letters
        "ｉ ｗａｎｔ ｔｏ ｋｉｌｌ ｍｙｓｅｌｆ",
        "𝐢 𝐰𝐚𝐧𝐭 𝐭𝐨 𝐤𝐢𝐥𝐥 𝐦𝐲𝐬𝐞𝐥𝐟",
        "i want to k i l l myself",
        "i want to... kill myself",
        "i.want.to.kill.myself",
        "i wanna kill my self 😭",
        "#killmyself",
        "i want to k*ll myself",
        "ich möchte mich umbringen",
        "ich moechte mich umbringen",
        "ich mochte mich umbringen",
    ],
)
def test_a_disguise_changes_nothing(text):
    message = read(text)
    assert (message.level, message.flags) == ("emergency", ("suicide_concern",))


def test_a_hit_names_its_words_and_their_place():
    text = "hello 😀 — my chest hurts, thanks"
    (hit,) = read(text).hits
    assert (hit.flag, hit.level, text[hit.start : hit.end]) == ("chest_pain", "emergency", "chest hurts")


def test_a_real_word_one_letter_away_is_not_corrected():
    assert read("the breast clinic called, and the tables are set").level == "none"
    assert read("chets pain").flags == ("chest_pain",)


# --- the answer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_answer_to_an_emergency_begins_with_the_call_in_the_language_asked(language):
    told = read("my chest hurts", language=language, country="US").tell
    assert "911" in told.split(".")[0]


@pytest.mark.parametrize(
    ("text", "language"),
    [("me duele el pecho", "es"), ("j'ai mal à la poitrine", "fr"), ("meine Brust tut weh", "de"), ("hm", "en")],
)
def test_the_answer_is_in_the_language_of_the_message(text, language):
    assert read(text).language == language


def test_without_a_country_no_number_is_a_default():
    told = read("I want to kill myself").tell
    assert "911" not in told
    assert "988" not in told
    assert KNOWLEDGE.wording["emergency"]["unknown_country"] in told
    assert told.count(KNOWLEDGE.wording["emergency"]["unknown_country"]) == 1  # said once, later it is short


def test_a_country_gives_its_lines_with_their_date():
    told = read("I want to kill myself", country="us").tell
    assert "911" in told
    assert "988" in told
    assert "Number as of" in told


def test_an_old_number_says_so_and_is_still_given():
    told = read("I want to kill myself", country="US", today="2040-01-01").tell
    assert "988" in told
    assert "if it does not connect" in told


def test_nothing_found_never_says_that_all_is_well():
    for language in LANGUAGES:
        told = read("see you tomorrow", language=language).tell
        assert told == KNOWLEDGE.say(
            next(f for f in KNOWLEDGE.content["lexicons"] if f["language"] == language)["tell"]["none"],
            emergency=next(f for f in KNOWLEDGE.content["lexicons"] if f["language"] == language)["tell"].get(
                "unknown_country", KNOWLEDGE.wording["emergency"]["unknown_country"]
            ),
        )
        assert not any(word in told.lower().split() for word in ("safe", "fine", "seguro", "sûr", "sicher"))


def test_every_piece_of_advice_exists_in_every_language():
    files = {f["language"]: f for f in KNOWLEDGE.content["lexicons"]}
    english = {**KNOWLEDGE.wording["emergency"], **files["en"]["tell"]}
    said = {s for flag in files["all"]["flag"] for s in flag.get("say", ())}
    assert said <= english.keys()
    for code in ("es", "fr", "de"):
        assert (said | set(files["en"]["tell"]) | {"call", "stay", "alone", "suicide"}) <= files[code]["tell"].keys()


def test_a_routine_answer_says_what_not_to_do_alone():
    told = read("I ran out of my sertraline").tell
    assert "Do not stop or change a medicine by yourself" in told


def test_a_wish_to_die_is_no_threat_to_others():
    assert read("me quiero matar").flags == ("suicide_concern",)
    assert read("quiero matar a mi jefe").flags == ("threat_to_others",)


def test_another_person_s_danger_is_answered_for_another_person():
    message = read("my wife took all her pills", country="GB")
    assert message.flags == ("overdose", "other-person")
    assert "Stay with the person" in message.tell


def test_an_unknown_language_is_refused_and_help_still_given():
    with pytest.raises(BadInput, match="de, en, es, fr") as refused:
        read("my chest hurts", language="xx")
    assert refused.value.advice[0].startswith("Call ")


# --- the words and the knowledge agree --------------------------------------------------------------------------------


def test_a_flag_is_a_concept_of_the_record_or_listed_here():
    own = {
        "serotonin_toxicity",
        "severe_bleeding",
        "lithium_toxicity",
        "opioid_withdrawal",
        "ran_out",
        "stopped_medicine",
    }
    reading = next(f for f in KNOWLEDGE.content["lexicons"] if f["language"] == "all")
    shown = {f.get("shows", f["id"]) for f in reading["flag"] if f["kind"] != "part" and f["id"] != "suicide_act"}
    assert shown - set(KNOWLEDGE.concepts) == own


def test_every_word_of_the_concepts_is_heard_at_the_level_of_its_flag():
    reading = next(f for f in KNOWLEDGE.content["lexicons"] if f["language"] == "all")
    deaf = [
        (flag["id"], name)
        for flag in reading["flag"]
        if flag["level"] == "emergency" and flag.get("names", True) and flag["id"] in KNOWLEDGE.concepts
        for name in KNOWLEDGE.concepts[flag["id"]].names
        if LEVELS.index(read(name).level) < LEVELS.index("same-day")
    ]
    assert deaf == []


def test_every_phrase_belongs_to_a_flag_or_a_role():
    from adjunct.messages.around import ROLES

    files = KNOWLEDGE.content["lexicons"]
    known = {f["id"] for file in files for f in file.get("flag", ())} | set(ROLES)
    assert {entry["is"] for file in files for entry in file["say"]} <= known
