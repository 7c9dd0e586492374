"""The safety plan: nothing written is lost, two hands at once are both seen, and the page works on paper."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import permutations

import pytest

from adjunct.base import BadInput, instant
from adjunct.followup.cover import Cover, told
from adjunct.followup.safety_plan import LONGEST_LINE, Plan, Version, add, as_dict, current, page, text
from adjunct.knowledge import Knowledge

KNOWLEDGE = Knowledge.load()
NOW = instant("2026-11-22T10:00:00+01:00").ms
SECTIONS = [s["id"] for s in KNOWLEDGE.content["workflow"]["safety_plan"]["section"]]
HELP = told("NONE", KNOWLEDGE, Cover(zone="Europe/Berlin"), country="DE", now=NOW)
FULL = {
    "signs": ("I stop answering messages", "I cannot sleep and count my mistakes"),
    "alone": ("Walk to the river", "The playlist with the blue cover"),
    "distract": ("The café at the corner", "Chess with Yusuf"),
    "ask": ("Maria, 0170 000000", "My brother, any hour"),
    "professionals": ("Dr Okoro, clinic, 030 000000",),
    "surroundings": ("Maria keeps my tablets and gives me two days at a time",),
}


def version(name: str, *, after: tuple[str, ...] = (), at: int = NOW, by: str = "Ana", **sections: tuple[str, ...]):
    return Version(id=name, at=at, by=by, reason="written together", sections=sections, after=after)


def plan(*versions: Version) -> Plan:
    found = Plan()
    for one in versions:
        found = add(found, one, KNOWLEDGE)
    return found


class Outline(HTMLParser):
    """The tags, their attributes and the visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if not any(tag == "style" for tag, _ in self.tags[-1:]):
            self.words.append(data.strip())


def test_the_six_functions_in_their_order() -> None:
    assert SECTIONS == ["signs", "alone", "distract", "ask", "professionals", "surroundings"]


def test_a_new_version_keeps_the_old_one_with_reason_and_author() -> None:
    found = plan(version("a", **FULL), version("b", at=NOW + 1, by="Dr Okoro", after=("a",), signs=("new",)))
    assert current(found).version.id == "b"
    assert not current(found).conflict
    kept = as_dict(found)["versions"]
    assert [(v["id"], v["by"], v["reason"]) for v in kept] == [
        ("a", "Ana", "written together"),
        ("b", "Dr Okoro", "written together"),
    ]
    assert kept[0]["sections"]["signs"] == list(FULL["signs"])


def test_two_versions_from_the_same_one_are_both_kept_and_said_to_be_two() -> None:
    base = version("a", **FULL)
    mine = version("b", at=NOW + 1, by="Ana", after=("a",), **FULL | {"ask": ("Maria",)})
    theirs = version("c", at=NOW + 2, by="Dr Okoro", after=("a",), **FULL | {"ask": ("The neighbour",)})
    for order in permutations((base, mine, theirs)):
        found = current(plan(*order))
        assert found.conflict
        assert {v.id for v in found.written} == {"b", "c"}
    shown = text(plan(base, mine, theirs), HELP, KNOWLEDGE)
    assert "There is more than one version, by Dr Okoro, Ana" in shown
    assert "Maria (from the version of Ana)" in shown
    assert "The neighbour" in shown
    one = plan(base, mine, theirs, version("d", at=NOW + 3, after=("b", "c"), **FULL))
    assert not current(one).conflict


def test_a_version_that_does_not_say_what_it_was_written_from_replaces_nothing() -> None:
    assert current(plan(version("a", **FULL), version("b", at=NOW + 1, signs=("x",)))).conflict


def test_the_same_version_twice_is_one_and_another_under_its_id_is_refused() -> None:
    one = version("a", **FULL)
    assert plan(one, one) == plan(one)
    with pytest.raises(BadInput, match="already names another version"):
        plan(one, version("a", signs=("x",)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"by": " "}, "who wrote it and why"),
        ({"reason": ""}, "who wrote it and why"),
        ({"sections": {"pets": ("cat",)}}, "no such section"),
        ({"sections": {"signs": ("  ",)}}, "empty or longer"),
        ({"sections": {"signs": ("x" * (LONGEST_LINE + 1),)}}, "empty or longer"),
    ],
)
def test_what_cannot_be_a_plan_is_refused_in_one_line(change, words: str) -> None:
    fields = {"id": "a", "at": NOW, "by": "Ana", "reason": "first", "sections": FULL} | change
    with pytest.raises(BadInput, match=words) as refusal:
        add(Plan(), Version(**fields), KNOWLEDGE)
    assert "\n" not in str(refusal.value)
    assert "cat" not in str(refusal.value)  # nothing a person wrote stands in an error


def test_without_a_plan_the_numbers_are_there_all_the_same() -> None:
    for shown in (text(Plan(), HELP, KNOWLEDGE), page(Plan(), HELP, KNOWLEDGE)):
        assert "112" in shown
        assert "0800 111 0 111" in shown
        assert "No plan has been written yet" in shown


def test_the_page_has_the_numbers_first_with_their_dates_and_then_all_that_was_written() -> None:
    words = " ".join(Outline(page(plan(version("a", **FULL)), HELP, KNOWLEDGE)).words)
    assert words.index("Emergency: 112") < words.index("0800 111 0 111") < words.index("How I notice")
    assert "Number as of 2026-06-02" in words
    for entries in FULL.values():
        for entry in entries:
            assert entry in words


def test_the_page_is_one_file_with_language_headings_and_no_script() -> None:
    tags = Outline(page(plan(version("a", **FULL)), HELP, KNOWLEDGE)).tags
    names = [tag for tag, _ in tags]
    assert ("html", {"lang": "en"}) in tags
    assert names.count("h1") == 1
    assert names.count("h2") == 1 + len(SECTIONS)
    assert names.count("main") == 1
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not [a for _, attributes in tags for a in attributes if a.startswith("on") or a == "src"]
    links = [str(attributes["href"]) for tag, attributes in tags if tag == "a"]
    assert links
    assert all(link.startswith(("tel:", "sms:")) for link in links)
    assert "@page { size: A4" in page(Plan(), HELP, KNOWLEDGE)


def test_what_a_person_writes_is_text_and_never_markup() -> None:
    nasty = '<script>alert(1)</script> & "quotes" {braces} {title}'
    found = plan(version("a", by="<b>Ana</b>", **dict.fromkeys(SECTIONS, (nasty,))))
    shown = page(found, HELP, KNOWLEDGE)
    assert "<script" not in shown
    assert "<b>" not in shown
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot; {braces} {title}") == len(
        SECTIONS
    )


def test_another_language_falls_back_to_english_and_says_so_in_the_page() -> None:
    assert '<html lang="en">' in page(Plan(), HELP, KNOWLEDGE, language="xx")
