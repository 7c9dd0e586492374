"""QuestionnaireResponses -> rows: filled-in instruments, and other items by their codes or the publisher's wording.

What nothing here knows is said, never passed over: an answer that is not read may be the one that matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from adjunct.base import NO, YES, shown
from adjunct.instruments import Instrument, instrument, score
from adjunct.instruments.answers import read_answer
from adjunct.instruments.responses import (
    LOINC,
    OWN_FORMS,
    SUICIDE,
    WHOLE,
    Answers,
    CodesByLink,
    answers_from,
    codes_of,
    recognised,
    suicide_items,
    worded,
)
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import LOCAL
from adjunct.record.draft import Draft
from adjunct.record.reading import concepts_of, observe
from adjunct.record.values import DROPPED, Codes, Resource, Span, Value, listed, mappings, read_value, span_of

ItemCodes = Mapping[str, Codes]
MOST_NAMED = 5  # layout: linkIds that one problem names


def questionnaire_response(draft: Draft, resource: Resource, reference: str, codes_by_link: ItemCodes) -> None:
    """The instruments that it answers, then each other item by its codes. What nothing here knows is said."""
    loinc = loinc_by_link(codes_by_link, draft.knowledge)
    found = recognised(resource, draft.knowledge, loinc)
    forms = [instrument(draft.knowledge, name) for name in found.whole]
    if resource.get("status") in DROPPED:
        _taken_back(draft, forms, resource, reference, loinc)
        return
    span = span_of(draft, reference, resource.get("authored"))
    taken = {link for form in forms for link in _instrument(draft, form, resource, reference, span, loinc)}
    parts = [instrument(draft.knowledge, name) for name in found.partly]
    known = {link for form in parts for link in answers_from(form, resource, loinc).links}
    open_ = [item for item in items_in(resource) if item.get("answer") and str(item.get("linkId", "")) not in taken]
    links = [str(item.get("linkId", "")) for item in open_]
    read = [_single(draft, item, reference, span, codes_by_link, loinc) for item in open_]
    strange = [link for link, done in zip(links, read, strict=True) if not done and link not in known]
    for form in parts:
        if form.has_total:
            said = f"part of {form.title} is answered here, and nothing says that it was asked as a whole: no total"
            draft.problem(reference, said, "Name the questionnaire by its canonical, or send the total.")
    if strange and not str(resource.get("questionnaire") or "").startswith(OWN_FORMS):
        named = ", ".join(shown(link) for link in strange[:MOST_NAMED]) + (" ..." if strange[MOST_NAMED:] else "")
        said = f"answers of a questionnaire to items that are not known here were not read: {named}"
        draft.problem(reference, said, "Send the LOINC codes of the items, or the Questionnaire with the record.")


def _single(
    draft: Draft, item: Resource, reference: str, span: Span, codes_by_link: ItemCodes, loinc: CodesByLink
) -> bool:
    """One item by the codes its Questionnaire gives it, a code in its linkId or its wording; whether it is known."""
    link = str(item.get("linkId", ""))
    pairs = codes_by_link[link].pairs if link in codes_by_link else ()
    coded = ((LOINC, code) for code in sorted(codes_of(item, draft.knowledge, loinc)))
    concepts = concepts_of(draft, Codes((*pairs, *coded, (LOCAL, link.rstrip("/").rpartition("/")[2])), ""))
    for answer in mappings(item.get("answer")):
        value = read_value(draft, reference, answer)
        for concept in concepts:
            observe(draft, concept, value, span, reference)
    return bool(concepts)


def _taken_back(
    draft: Draft, forms: Sequence[Instrument], resource: Resource, reference: str, loinc: CodesByLink
) -> None:
    """Answers marked as an error count no more; that they would have been an alarm is said all the same."""
    for form in forms:
        result = score(form, answers_from(form, resource, loinc).given)
        if any(said.level == SUICIDE for said in result.says):
            said = f"this {form.title} is marked as entered in error, so its answers on suicide do not count"
            draft.problem(reference, said, "Was it another person's? If it is not certain, ask the screener.")


def _instrument(
    draft: Draft, form: Instrument, resource: Resource, reference: str, span: Span, loinc: CodesByLink
) -> frozenset[str]:
    """A filled-in instrument: each answer that is a fact of its own, and the total by the published rule, scored here.

    An unfinished response counts as far as it goes. A total that the sender wrote is read only where none can be worked
    out; where both are there and differ, neither counts. Returns the linkIds that are its own.
    """
    answers = answers_from(form, resource, loinc)
    if answers.version not in ("", str(form.version)):
        said = (
            f"this {form.title} answers edition {shown(answers.version)}, which is not known here: its items may differ"
        )
        draft.problem(reference, said, "Send the edition that is known, or the total with its date.")
        return frozenset(str(item.get("linkId", "")) for item in items_in(resource))
    for link in answers.strange:
        said = f"{form.title}, item {shown(link)}: the answer is none of this item's, or there are two"
        draft.problem(reference, said, "Ask the item again.")
    for item, entry in zip(form.items, form.raw.get("item", ()), strict=True):
        concepts = draft.knowledge.concepts_for(LOCAL, entry.get("concept", ""))
        value = read_answer(item, answers.given.get(item.id))
        for concept in concepts:
            if isinstance(value, float):
                truth = (YES if value else NO) if item.kind == "yes-no" else None
                observe(draft, concept, Value(low=value, high=value, truth=truth), span, reference)
            elif item.id in answers.given:
                observe(draft, concept, Value(absent=value.value), span, reference)
    _total(draft, form, answers, reference, span)
    asked = suicide_items(form)
    for item in form.items:
        if asked == {item.id} and item.id not in answers.given:
            said = f"{form.title}, item {item.number} ({item.label}) was left open: a missing answer is not a no"
            draft.problem(reference, said, "Ask it again.")
    return answers.links


def _total(draft: Draft, form: Instrument, answers: Answers, reference: str, span: Span) -> None:
    result = score(form, answers.given)
    stated = answers.stated.get("total")
    worked_out = result.total
    for concept in draft.knowledge.concepts_for(LOCAL, form.raw.get("concept", form.id)):
        if worked_out is not None:
            observe(draft, concept, Value(low=worked_out, high=worked_out), span, reference)
        if stated is not None and (worked_out is None or abs(stated - worked_out) >= 1):
            observe(draft, concept, Value(low=stated, high=stated), span, reference)
    if stated is not None and worked_out is not None and abs(stated - worked_out) >= 1:
        said = f"the total written on this {form.title} is not what its answers add up to, so it is unknown"
        draft.problem(reference, said, "Check the answers and the total.")
    elif worked_out is None and form.has_total and stated is None:
        draft.problem(reference, f"this {form.title} has no total: {result.reason}", "Ask the open items.")


def items_in(holder: Resource) -> Iterator[Resource]:
    """Every item, at whatever depth."""
    for item in mappings(holder.get("item")):
        yield item
        yield from items_in(item)
        for answer in mappings(item.get("answer")):
            yield from items_in(answer)


def item_codes(questionnaires: Iterable[Resource]) -> dict[str, ItemCodes]:
    """For each Questionnaire, as `url|version`, as plain `url` and as `Questionnaire/id`: linkId -> codes and wording.

    Two versions under one url: the plain url then means neither.
    """
    found: dict[str, ItemCodes] = {}
    for questionnaire in questionnaires:
        url, version, own = (str(questionnaire.get(key) or "") for key in ("url", "version", "id"))
        codes = _codes_of(questionnaire)
        if own:
            found[f"Questionnaire/{own}"] = codes
        if url:
            found[url] = codes if found.get(url, codes) == codes else {}
            found[f"{url}|{version}"] = codes
    return found


def _codes_of(questionnaire: Resource) -> ItemCodes:
    found = {WHOLE: Codes.read({"coding": listed(questionnaire.get("code"))})}
    for item in items_in(questionnaire):
        text = item.get("text")
        codes = Codes.read({"coding": listed(item.get("code"))})
        if codes.pairs or isinstance(text, str):
            found[str(item.get("linkId"))] = Codes(codes.pairs, text if isinstance(text, str) else "")
    return found


def codes_for(response: Resource, questionnaires: Mapping[str, ItemCodes]) -> ItemCodes:
    """What the Questionnaire of a response says of its items: contained in it, or in the record by url or address."""
    url = str(response.get("questionnaire") or "")
    plain = url.partition("|")[0]
    if plain.startswith("#"):
        inside = (c for c in mappings(response.get("contained")) if c.get("id") == plain[1:])
        return next((_codes_of(c) for c in inside), {})
    address = "/".join(plain.rsplit("/", 2)[-2:])
    return questionnaires.get(url) or questionnaires.get(plain) or questionnaires.get(address) or {}


def loinc_by_link(codes_by_link: ItemCodes, knowledge: Knowledge) -> dict[str, frozenset[str]]:
    """The LOINC codes that a Questionnaire gives its items, by code or by the publisher's wording."""
    return {
        link: frozenset(code for system, code in codes.pairs if system == LOINC) | worded(knowledge, codes.text)
        for link, codes in codes_by_link.items()
    }
