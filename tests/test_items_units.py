"""Items as people write them, one property a test; the large table is cases/product_strings.csv."""

from __future__ import annotations

import csv
import tomllib
from functools import cache
from importlib import resources
from typing import Any

import pytest

from adjunct.base import BadInput, units
from adjunct.items import Dose, Item, Reader

DATA = resources.files("adjunct") / "knowledge" / "data"
KRATOM = {"kratom-leaf", "kratom-extract", "7-hydroxymitragynine"}


@cache
def phrases() -> dict[str, Any]:
    return tomllib.loads((DATA / "phrases.toml").read_text(encoding="utf-8"))


@cache
def reader() -> Reader:
    return Reader(csv.DictReader((DATA / "names.csv").read_text(encoding="utf-8").splitlines()), phrases())


def read(text: str) -> Item:
    return reader().read(text)


def dose(text: str) -> tuple[float | None, float | None, str | None, float | None, float | None]:
    found = read(text).dose or Dose()
    return found.low, found.high, found.unit, found.per_day_low, found.per_day_high


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["St John's bread", "Lithium battery acid", "Effexor-like tea", "herbal Xanax alternative", "lithium-ion battery",
     "same as last time", "Feel free to call me", "Kit Kat", "100 mg", "", "   ", "🍄"],
)  # fmt: skip
def test_a_first_word_is_no_name(text: str) -> None:
    assert read(text).match == "unknown"
    assert read(text).substance is None


@pytest.mark.parametrize(
    "text", ["7-OH 15 mg", "7OH 15 mg", "7 OH 15mg", "7-0H 15 mg", "７－ＯＨ 15 mg", "7‑hydroxymitragynine® 15 mg"]
)
def test_one_name_in_many_spellings(text: str) -> None:
    assert read(text).substance == "7-hydroxymitragynine"
    assert dose(text)[:3] == (15, 15, "mg")


@pytest.mark.parametrize("text", ["K", "k 50 mg", "Li 300 mg", "E", "MS"])
def test_one_and_two_letters_never_match_alone(text: str) -> None:
    assert read(text).match == "unknown"


@pytest.mark.parametrize("text", ["sertraline\x00", "sertra\x07line 50 mg", "sertraline\nlithium", "\u202eenilartres"])
def test_what_cannot_be_seen_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read(text)


@pytest.mark.parametrize(
    ("text", "substance"),
    [
        ("kratum powder 5g 3x/day", "kratom-leaf"), ("2 tsp kratom", "kratom-leaf"), ("kratom tea", "kratom-leaf"),
        ("kratom shot", "kratom-extract"), ("Kratomextrakt 2 ml", "kratom-extract"),
        ("kratom 7-OH tablets", "7-hydroxymitragynine"), ("feel free shot", "kava+kratom-leaf"),
    ],
)  # fmt: skip
def test_the_stated_form_decides_what_kratom_is(text: str, substance: str) -> None:
    assert read(text).substance == substance


@pytest.mark.parametrize("text", ["kratom", "kratum 5g 3x a day", "kratom capsules", "kratom gummies", "กระท่อม"])
def test_without_a_form_kratom_stays_ambiguous(text: str) -> None:
    item = read(text)
    assert (item.match, set(item.candidates)) == ("ambiguous", KRATOM)


def test_a_corrected_spelling_shows_what_was_read() -> None:
    assert read("kratum 5g").read_as == "kratom"
    assert (read("setralline 50 mg").substance, read("setralline 50 mg").read_as) == ("sertraline", "sertraline")
    assert read("sertraline 50 mg").read_as is None


@pytest.mark.parametrize("text", ["lamivudine", "trazadol", "clonazapine", "fosfomycine", "cladribine", "Lyrical tea"])
def test_a_look_alike_is_not_corrected(text: str) -> None:
    assert read(text).match != "known"


def test_no_listed_look_alike_is_read_as_another_medicine() -> None:
    assert [w for w in phrases()["lookalikes"]["not_ours"] if read(w).read_as and read(w).match == "known"] == []


# --- several names ----------------------------------------------------------------------------------------------------


def test_combinations() -> None:
    assert read("buprenorphine/naloxone 8/2 mg").substance == "buprenorphine+naloxone"
    assert read("Suboxone (buprenorphine/naloxone)").substance == "buprenorphine+naloxone"
    assert read("Zoloft (sertraline) 50 mg").substance == "sertraline"
    together = read("sertraline and trazodone")
    assert (together.substance, len(together.notes)) == ("sertraline+trazodone", 1)


def test_no_name_is_dropped() -> None:
    assert set(read("sertraline or trazodone").candidates) == {"sertraline", "trazodone"}
    assert set(read("Zoloft (fluoxetine)").candidates) == {"sertraline", "fluoxetine"}
    assert all("sertraline" in c.split("+") for c in read("sertraline, kratom").candidates)
    assert read("kratom and 7-OH").match == "ambiguous"
    assert read("sertraline, no kratom").match == "unknown"


# --- amounts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sertraline 100 mg daily", (100, 100, "mg", 1, 1)),
        ("1-2 tablets sertraline up to 3x a day", (1, 2, "{tablet}", 0, 3)),
        ("half a tablet of sertraline", (0.5, 0.5, "{tablet}", None, None)),
        ("sertraline 50 mg, 2 tablets at night", (100, 100, "mg", 1, 1)),
        ("sertraline 100 mg (2 tablets)", (100, 200, "mg", None, None)),
        ("sertraline 50 mg 1-0-2", (50, 100, "mg", 2, 2)),
        ("sertraline 50 mg morning and 100 mg at night", (50, 100, "mg", 2, 2)),
        ("lithium 900 mg/day in 3 divided doses", (300, 300, "mg", 3, 3)),
        ("ketamine 50mg/ml 0.7 ml", (35, 35, "mg", None, None)),
        ("ketamine 100 mg/mL", (None, None, None, None, None)),
        ("ketamine 0.5 mg/kg over 40 min", (0.5, 0.5, "mg/kg", None, None)),
        ("fentanyl patch 25 mcg/h every 72 hours", (25, 25, "ug/h", 1 / 3, 1 / 3)),
        ("oxycodone 5-10 mg q4-6h prn", (5, 10, "mg", 0, 6)),
        ("methotrexate 15 mg weekly", (15, 15, "mg", 1 / 7, 1 / 7)),
        ("kratom powder 1e9 g", (1e9, 1e9, "g", None, None)),
        ("kratom powder 1e999 g", (None, None, None, None, None)),
        ("2 tsp maeng da", (2, 2, "[tsp_us]", None, None)),
        ("paracetamol 1,000 mg", (1000, 1000, "mg", None, None)),
        ("lorazepam 2,5 mg", (2.5, 2.5, "mg", None, None)),
        ("lorazepam 1.000 mg", (1, 1000, "mg", None, None)),
        ("Sertralin 50 mg 3x tgl", (50, 50, "mg", 3, 3)),
        ("sertralina 50 mg cada 8 horas", (50, 50, "mg", 3, 3)),
        ("sertraline 50 mg 2 fois par jour", (50, 50, "mg", 2, 2)),
        ("sertraline 50 mg twice daily 3 days a week", (50, 50, "mg", 6 / 7, 6 / 7)),
    ],
)
def test_amounts_stay_what_was_said(text: str, expected: tuple[object, ...]) -> None:
    assert dose(text) == pytest.approx(expected)


def test_a_label_amount_is_not_the_dose_of_the_product() -> None:
    item = read("kratom extract shot 150 mg mitragynine")
    assert (item.substance, item.dose) == ("kratom-extract", None)


def test_every_unit_of_mass_and_volume_is_ucum() -> None:
    assert {u["code"] for u in phrases()["unit"].values()} <= set(units())


# --- status -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "texts"),
    [
        ("current", ["I do not skip my sertraline", "never miss my sertraline", "not only sertraline",
                     "never stopped sertraline", "no dejo de tomar la sertralina", "je n'ai pas arrêté la sertraline",
                     "ich habe Sertralin nicht abgesetzt", "can't sleep without sertraline",
                     "stopped sertraline but restarted", "trying to stop sertraline"]),
        ("stopped", ["used to take sertraline", "quit sertraline 3 weeks ago", "no longer taking sertraline",
                     "ran out of sertraline", "no sertraline for 3 weeks", "dejé la sertralina hace 3 semanas",
                     "je ne prends plus de sertraline", "Sertralin vor 3 Wochen abgesetzt",
                     "nehme kein Sertralin mehr"]),
        ("not-taken", ["denies sertraline", "never took sertraline", "not taking sertraline", "my husband's sertraline",
                       "mother takes sertraline", "no tomo sertralina", "je ne prends pas de sertraline",
                       "nehme kein Sertralin"]),
        ("allergy", ["allergic to sertraline", "allergy: sertraline", "alergia a la sertralina",
                     "allergique à la sertraline", "Allergie gegen Sertralin"]),
        ("planned", ["sertraline starting next week", "ordered sertraline", "voy a empezar con sertralina",
                     "je vais commencer la sertraline", "Sertralin ab nächster Woche"]),
    ],
)  # fmt: skip
def test_status_in_four_languages(status: str, texts: list[str]) -> None:
    assert {t: (read(t).substance, read(t).status) for t in texts} == dict.fromkeys(texts, ("sertraline", status))


def test_last_use_is_an_interval_around_what_was_said() -> None:
    assert read("last used kratom powder 5h ago").last_use_h == pytest.approx((4.5, 5.5))
    low, high = read("stopped phenelzine 2 weeks ago").last_use_h or (0, 0)
    assert low < 14 * 24 < high
    assert read("kratom powder yesterday").last_use_h == (0, 48)
    assert read("sertraline 50 mg daily").last_use_h is None
    assert read("sertraline for 3 weeks").last_use_h is None


def test_as_needed_route_and_form() -> None:
    assert read("lorazepam 1 mg si besoin").as_needed
    assert read("lorazepam 1 mg bei Bedarf").as_needed
    item = read("ketamine 35 mg IV")
    assert (item.route, item.form) == ("intravenous", None)
    assert read("Effexor XR capsules 75 mg by mouth").form == "capsule"
