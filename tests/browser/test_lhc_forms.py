"""The same answers, filled in by clicking in an independent form filler, give the same scores as here.

Each Questionnaire is shown by LHC-Forms in a real browser; options are clicked, numbers typed. What the form then holds
is a QuestionnaireResponse with the scores that its own FHIRPath worked out; it must be what `adjunct.score` says, and
what the record reads from it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from adjunct.instruments import Instrument, instrument, score
from adjunct.instruments.responses import answers_from
from adjunct.knowledge import Knowledge
from adjunct.publish import questionnaire

Json = dict[str, Any]
KNOWLEDGE = Knowledge.load()
SCORED = [name for name in KNOWLEDGE.instruments if instrument(KNOWLEDGE, name).has_total]
PATIENCE = 100  # turns of the browser's own loop
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>form</title>
<link rel="stylesheet" href="/webcomponent/styles.css"></head><body><div id="form"></div>
<script src="/webcomponent/assets/lib/zone.min.js"></script><script src="/webcomponent/runtime.js"></script>
<script src="/webcomponent/polyfills.js"></script><script src="/webcomponent/main.js"></script></body></html>"""


@pytest.fixture(scope="module")
def page(browser: Browser, lforms: str) -> Iterator[Page]:
    found = browser.new_page()
    found.route(f"{lforms}/form.html", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    found.goto(f"{lforms}/form.html")
    found.wait_for_function("window.LForms && window.LForms.Util")
    found.add_script_tag(url=f"{lforms}/fhir/R4/lformsFHIR.min.js")
    found.wait_for_function("LForms.FHIR && LForms.FHIR.R4")
    yield found
    found.close()


def show(page: Page, form: Json) -> None:
    page.evaluate(
        "async form => { await LForms.Util.addFormToPage("
        "LForms.Util.convertFHIRQuestionnaireToLForms(form, 'R4'), 'form'); }",
        form,
    )


def fill(page: Page, known: Instrument, form: Json, answers: Sequence[object]) -> None:
    """Click or type each answer; None and "-" are left open."""
    items = {item["linkId"]: item for item in form["item"]}
    for item, answer in zip(known.items, answers, strict=False):
        if answer is None:
            continue
        shown = items[item.id]
        if shown["type"] == "choice":
            coding = option(shown, answer)
            page.click(f"[id='{item.id}/1|{coding['system']}|{coding['code']}']")
        else:
            box = page.locator(f"[id='{item.id}/1'] input" if shown["type"] == "time" else f"[id='{item.id}/1']")
            box.fill(f"{answer}:00" if shown["type"] == "time" else str(answer))
            box.press("Enter" if shown["type"] == "time" else "Tab")


def option(shown: Json, answer: object) -> Json:
    for entry, written in zip(shown["answerOption"], shown["_written"], strict=True):
        if written == answer:
            return entry["valueCoding"]  # type: ignore[no-any-return]
    raise AssertionError(f"no option {answer} in {shown['linkId']}")


def held(page: Page, known: Instrument, expected: Mapping[str, float | None]) -> Json:
    """What the form holds, once it has worked out what is expected, or once it has had time enough."""
    response: Json = {}
    for _ in range(PATIENCE):
        response = page.evaluate("LForms.Util.getFormFHIRData('QuestionnaireResponse', 'R4', null, null, '#form')")
        if agree(answers_from(known, response, {}).stated, expected):
            break
        page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # let the form work
    return response


def agree(stated: Mapping[str, float], expected: Mapping[str, float | None]) -> bool:
    return all(
        stated.get(key) == (None if value is None else pytest.approx(value, abs=0.01))
        for key, value in expected.items()
    )


def sets_of_answers(known: Instrument) -> Iterator[list[object]]:
    """All most, one drawn, and one with an item left open."""
    draw = random.Random(known.id)

    def one(item: Any, how: str) -> object:
        if item.kind == "clock":
            return {"least": "23:15", "most": "07:00"}.get(how, f"{draw.randrange(24):02d}:{draw.randrange(60):02d}")
        if not item.allowed:
            top = item.most if item.most == item.most and item.most < 1000 else 90
            return {"least": int(item.least), "most": int(top)}.get(how, draw.randint(int(item.least), int(top)))
        return {"least": item.allowed[0], "most": item.allowed[-1]}.get(how, draw.choice(item.allowed))

    scored = [item for item in known.items if not item.extra]
    for how in ("most", "drawn"):
        yield [one(item, how) for item in scored]
    answers = [one(item, "drawn") for item in scored]
    answers[draw.randrange(len(answers))] = None
    yield answers


@pytest.mark.parametrize("name", SCORED)
def test_an_independent_form_adds_up_the_same(page: Page, name: str) -> None:
    known = instrument(KNOWLEDGE, name)
    form = questionnaire(known, labels=True)
    for item, shown in zip(known.items, form["item"], strict=False):
        shown["_written"] = [*item.allowed, "na"][: len(shown.get("answerOption", ()))]
    plan = known.plans[next(iter(known.plans))]
    for answers in sets_of_answers(known):
        show(page, {**form, "item": [{k: v for k, v in item.items() if k != "_written"} for item in form["item"]]})
        fill(page, known, form, answers)
        here = score(known, answers, form=next(iter(known.plans)) or None)
        expected = {"total": here.total} | {
            step.id: value
            for step in plan.steps
            if step.id in here.subscales and not isinstance(value := here.subscales[step.id], str)
        }
        response = held(page, known, expected)
        said = answers_from(known, response, {})
        assert agree(said.stated, expected), (answers, said.stated, expected)
        assert score(known, said.given, form=next(iter(known.plans)) or None).total == here.total
