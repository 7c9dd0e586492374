"""A simulated exposure as a picture: well-formed, named, units, doses and a band; a table says the same."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from adjunct.base import BadInput
from adjunct.documents.plots import ENVELOPE, PALETTE, draw, table
from adjunct.knowledge import Knowledge
from adjunct.pharmacology.simulation import simulate

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


@pytest.fixture(scope="module")
def spray(knowledge: Knowledge) -> dict[str, Any]:
    """One model with differences between people, two analytes, four doses of two devices."""
    asked = {"dose": "56 mg", "route": "nasal", "weight_kg": 70, "repeat": "2x/week for 2 weeks", "n": 20}
    return simulate(knowledge, "PerezRuixo_2021_esketamine", **asked).to_dict()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def infusion(knowledge: Knowledge) -> dict[str, Any]:
    """Several models, none of which says how people differ."""
    return simulate(knowledge, "ketamine", dose="0.5 mg/kg", over="40 min", route="iv", weight_kg=70).to_dict()


@pytest.fixture(scope="module")
def alone(knowledge: Knowledge) -> dict[str, Any]:
    """One model that does not say how people differ."""
    return simulate(knowledge, "mitragynine", dose="39 mg", route="tea").to_dict()


def drawn(exposure: dict[str, Any], folder: Path) -> ElementTree.Element:
    picture, _ = draw(exposure, folder / "f.svg")
    return ElementTree.fromstring(picture.read_text(encoding="utf-8"))


def words(svg: ElementTree.Element) -> list[str]:
    return ["".join(node.itertext()) for node in svg.iter(f"{SVG}text")]


def marks(svg: ElementTree.Element, role: str) -> list[ElementTree.Element]:
    """The shapes of one kind of mark, as Vega names their groups."""
    groups = [g for g in svg.iter(f"{SVG}g") if role in g.get("class", "").split()]
    return [path for group in groups for path in group.iter(f"{SVG}path")]


# --- the picture ------------------------------------------------------------------------------------------------------


def test_a_picture_is_named_for_who_cannot_see_it(spray: dict[str, Any], tmp_path: Path) -> None:
    svg = drawn(spray, tmp_path)
    assert svg.tag == f"{SVG}svg"
    assert svg.get("role") == "img"
    assert [child.tag for child in list(svg)[:2]] == [f"{SVG}title", f"{SVG}desc"]
    title, desc = (child.text or "" for child in list(svg)[:2])
    assert title == "Predicted, not measured: esketamine, 56 mg 2x/week for 2 weeks, nasal"
    peak = spray["analytes"]["esketamine"]["metrics"]["cmax"]["typical"]
    assert f"esketamine: highest typical level {peak:.3g} ng/mL" in desc
    assert "table beside this file" in desc


def test_words_of_a_title_cannot_break_the_picture(spray: dict[str, Any], tmp_path: Path) -> None:
    svg = drawn(spray | {"drug": 'a < b & "c"</title>'}, tmp_path)
    assert 'a < b & "c"</title>' in (svg[0].text or "")


def test_axes_say_what_and_in_which_unit(spray: dict[str, Any], tmp_path: Path) -> None:
    found = words(drawn(spray, tmp_path))
    assert found.count("time since the first dose (h)") == 2
    assert {"esketamine (ng/mL)", "noresketamine (ng/mL)", "PerezRuixo_2021_esketamine"} <= set(found)
    assert any("Knowledge " + spray["knowledge"]["version"] in text for text in found)


def test_each_administration_has_its_mark(spray: dict[str, Any], tmp_path: Path) -> None:
    given = spray["models"][0]["administrations"]
    assert len(given) == 8
    symbols = [p for p in marks(drawn(spray, tmp_path), "mark-symbol") if p.get("fill") == PALETTE[-1]]
    assert len(symbols) == 2 * len(given)  # in the panel of each analyte


@pytest.mark.parametrize(
    ("name", "bands", "says"),
    [
        ("spray", 2, "Band: 90 % of people in the models that publish how people differ"),
        ("infusion", 1, "Band: the range between the models"),
        ("alone", 0, "No band: one model, and nobody published how people differ"),
    ],
)
def test_a_band_is_drawn_and_says_what_it_is(
    name: str, bands: int, says: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    svg = drawn(request.getfixturevalue(name), tmp_path)
    areas = [p for p in marks(svg, "mark-area") if (p.get("d") or "").count("L") > 10]
    assert len(areas) == bands
    assert any(text.startswith(says) for text in words(svg))


def test_each_model_has_its_line_and_its_name(infusion: dict[str, Any], tmp_path: Path) -> None:
    svg = drawn(infusion, tmp_path)
    names = {ENVELOPE, *(m["id"] for m in infusion["models"])}
    assert names <= set(words(svg))
    lines = [p for p in marks(svg, "mark-line") if (p.get("d") or "").count("L") > 10]
    assert len(lines) == len(names)
    assert len({p.get("stroke") for p in lines}) == len(names)
    assert len({p.get("stroke-dasharray") for p in lines}) == len(names)  # told apart without colour


def test_a_png_is_a_png(spray: dict[str, Any], tmp_path: Path) -> None:
    picture, twin = draw(spray, tmp_path / "f.png")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert twin == tmp_path / "f.csv"
    assert twin.read_text(encoding="utf-8") == table(spray)


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["spray", "infusion", "alone"])
def test_the_table_says_what_the_curves_say(name: str, request: pytest.FixtureRequest) -> None:
    exposure = request.getfixturevalue(name)
    rows = list(csv.DictReader(io.StringIO(table(exposure))))
    curves = {(n, m["id"]): a["curve"] for m in exposure["models"] for n, a in m["analytes"].items()}
    if len(exposure["models"]) > 1:
        curves |= {(n, ENVELOPE): a["curve"] for n, a in exposure["analytes"].items()}
    assert {(row["analyte"], row["model"]) for row in rows} == set(curves)
    for (analyte, model), curve in curves.items():
        mine = [row for row in rows if (row["analyte"], row["model"]) == (analyte, model)]
        assert {row["unit"] for row in mine} == {curve["unit"]}
        for column in ("time_h", "typical", "p5", "p95"):
            if curve[column] is None:
                assert {row[column] for row in mine} == {""}
            else:
                assert [float(row[column]) for row in mine] == pytest.approx(list(curve[column]), rel=1e-5)


# --- what cannot be drawn ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["altair", "vl_convert"])
def test_without_the_extra_the_message_says_what_to_install(
    missing: str, spray: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BadInput, match=rf"plots need {missing}: install adjunct\[plots\]"):
        draw(spray, tmp_path / "f.svg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["no-such-folder/f.svg", "folder.svg", "no-such-folder/f.png"])
def test_a_place_that_cannot_be_written_is_named(where: str, spray: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(BadInput, match="cannot be written") as error:
        draw(spray, tmp_path / where)
    assert where in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["f.bmp", "f", "f.svg.zip", ".svg"])
def test_another_kind_of_picture_is_refused(name: str, spray: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"written as \.svg or \.png"):
        draw(spray, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
