"""The command as people and programs meet it: real processes, exit codes, narrow terminals, broken pipes, bad input."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fhirkit
import pytest

from adjunct.demo import PEOPLE, SCENES, bundle_path
from bundles import NOW, RXNORM, SUBJECT, diagnosis, medicine, person, pressure

Json = dict[str, Any]

ADJUNCT = str(Path(sys.executable).parent / "adjunct")
SECONDS = 60
NARROW = 40
SGR = re.compile(r"\x1b\[([0-9;]*)m")
VERDICT = re.compile(
    r"ELIGIBLE|ESCALATE|DEFER|CAUTION|NOTHING FOUND|nothing.found|contraindicated|verdict", re.IGNORECASE
)
EMERGENCY = "call your local emergency number"

# What stands in the records below and must come back in no error.
SECRETS = ("Zaphodsecret", "1979-07-13", "MRN-4711", "secretline", "Betelgeuse")


def run(*arguments: str, given: bytes | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """One real command. `given` is standard input; `more` are environment variables."""
    done = subprocess.run(
        [ADJUNCT, *arguments], input=given, capture_output=True, env=environment(more), timeout=SECONDS
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "PYTHONIOENCODING")
    }
    return {**kept, "TERM": "dumb", **more}


def refused(done: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> str:
    """A refusal: the exit code, one line that says what, and nothing that could be taken for an answer."""
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("adjunct: ")
    assert not VERDICT.search(done.stdout)
    for secret in SECRETS:
        assert secret not in done.stderr + done.stdout
    for word in words:
        assert word.casefold() in done.stderr.casefold()
    return done.stderr


def someone(**more: Any) -> Json:
    """A record with a name, an address and a number in it."""
    bundle = person(age=44, sex="F", takes=["sertraline 150 mg"], **more)
    bundle["entry"][0]["resource"] |= {
        "name": [{"family": "Zaphodsecret"}],
        "birthDate": "1979-07-13",
        "identifier": [{"system": "urn:mrn", "value": "MRN-4711"}],
        "address": [{"line": ["1 secretline"], "city": "Betelgeuse"}],
    }
    return bundle


@pytest.fixture
def record(tmp_path: Path) -> str:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(someone()), encoding="utf-8")
    return str(path)


# --- answers ----------------------------------------------------------------------------------------------------------

DOCUMENTED = [
    # as the README and the how-to pages show them: arguments, the verdict word
    (["check", "sertraline 100 mg daily", "kratom powder 5 g 3x/day", "--age", "34"], None),
    (
        [
            "check",
            "sertraline 100 mg daily",
            "kratum powder 5g 3x/day",
            "feel free shot",
            "--age",
            "34",
            "--country",
            "US",
        ],
        "incomplete",
    ),
    (["check", "sertraline 50 mg", "phenelzine 45 mg"], "contraindicated"),
    (["check", "kratom powder 2 g", "--jurisdiction", "US-TX", "--condition", "epilepsy"], None),
]


@pytest.mark.parametrize(("arguments", "verdict"), DOCUMENTED, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_the_documented_commands_answer_in_words_and_in_json(arguments: list[str], verdict: str | None) -> None:
    said = run(*arguments, "--at", NOW)
    assert (said.returncode, said.stderr) == (0, "")
    found = run(*arguments, "--at", NOW, "--json")
    assert (found.returncode, found.stderr) == (0, "")
    answer = json.loads(found.stdout)
    assert answer["verdict"] == (verdict or answer["verdict"])
    assert len(answer["items"]) == sum(" " in a or a.startswith("krat") for a in arguments[1:])
    assert answer["verdict"].upper() in said.stdout
    assert answer["knowledge"]["version"] in said.stdout
    assert " ".join(answer["headline"]["says"].split()) in " ".join(said.stdout.split())


def test_the_json_is_what_the_python_call_returns() -> None:
    import adjunct

    printed = run("check", "sertraline 50 mg", "phenelzine 45 mg", "--at", NOW, "--country", "us", "--json").stdout
    assert printed == adjunct.check(["sertraline 50 mg", "phenelzine 45 mg"], at=NOW, country="US").to_json() + "\n"


@pytest.mark.parametrize("treatment", ["ketamine-iv", "ketamine-im", "ketamine-sc", "esketamine-nasal", "none"])
def test_a_record_is_assessed_for_each_treatment(record: str, treatment: str) -> None:
    done = run("assess", record, "--for", treatment, "--phase", "pre-dose", "--at", NOW, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert (answer["question"], answer["phase"], answer["at"]) == (treatment, "pre-dose", NOW)


def test_a_dash_reads_standard_input(record: str) -> None:
    asked = ("--for", "ketamine-iv", "--at", NOW, "--json")
    piped = run("assess", "-", *asked, given=Path(record).read_bytes())
    assert (piped.returncode, piped.stdout) == (0, run("assess", record, *asked).stdout)


def test_fhir_output_is_valid_r4_for_both_commands(record: str) -> None:
    for arguments in (["assess", record, "--for", "ketamine-iv"], ["check", "sertraline", "phenelzine"]):
        done = run(*arguments, "--at", NOW, "--fhir")
        assert (done.returncode, done.stderr) == (0, "")
        bundle = json.loads(done.stdout)
        assert bundle["resourceType"] == "Bundle"
        assert [str(i) for i in fhirkit.validate(bundle)] == []


def test_without_at_the_clock_of_the_machine_counts() -> None:
    assert json.loads(run("check", "sertraline", "--json").stdout)["at"][:2] == "20"


def test_sources_are_shown_on_request() -> None:
    plain, full = (run("check", "sertraline", "phenelzine", "--at", NOW, *more).stdout for more in ((), ("--sources",)))
    assert "Source:" not in plain
    assert "Source:" in full
    assert "Because: items[0]" in full


def test_help_and_no_command() -> None:
    for arguments in (["--help"], ["-h"], ["check", "--help"], ["assess", "-h"], ["knowledge", "--help"]):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage" in done.stdout
    assert "Usage" in run().stdout
    assert run().returncode == 2


# --- terminals --------------------------------------------------------------------------------------------------------

LONG = ("check", "sertraline 100 mg", "phenelzine 45 mg", "kratom 5 g", "--at", NOW, "--country", "US", "--sources")


@pytest.mark.parametrize("columns", [NARROW, 80])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    wide, done = run(*LONG, COLUMNS="100"), run(*LONG, COLUMNS=str(columns))
    assert done.returncode == 0
    links = [line for line in done.stdout.splitlines() if len(line.rstrip()) > columns]
    assert links == []
    assert "".join(done.stdout.replace("-", "").split()) == "".join(wide.stdout.replace("-", "").split())


def on_a_terminal(*arguments: str, **more: str) -> str:
    """What a real terminal gets."""
    ours, theirs = pty.openpty()
    variables = environment({"TERM": "xterm-256color", "COLUMNS": "80", **more})
    with subprocess.Popen([ADJUNCT, *arguments], stdout=theirs, stderr=theirs, stdin=theirs, env=variables) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # Linux reports the end of a terminal as an error
                break
            if not chunk:
                break
            seen += chunk
        assert process.wait(SECONDS) == 0
    os.close(ours)
    return seen.decode()


def colours(text: str) -> list[str]:
    return [code for found in SGR.findall(text) for code in found.split(";") if code and 30 <= int(code) <= 107]


def test_colour_on_a_terminal_and_none_where_it_is_not_wanted() -> None:
    asked = ("check", "sertraline", "phenelzine", "--at", NOW)
    assert colours(on_a_terminal(*asked))
    assert colours(on_a_terminal(*asked, NO_COLOR="1")) == []
    assert "\x1b" not in run(*asked).stdout
    assert "CONTRAINDICATED" in on_a_terminal(*asked, NO_COLOR="1")


@pytest.mark.parametrize("form", ["--sources", "--json", "--fhir"])
def test_a_reader_that_leaves_early_is_no_error(form: str) -> None:
    asked = " ".join(f"'{a}'" for a in (ADJUNCT, *LONG, form))
    done = subprocess.run(
        ["bash", "-c", f"{asked} | head -c 20"], capture_output=True, env=environment({}), timeout=SECONDS
    )
    assert len(done.stdout) == 20
    assert done.stderr == b""


def test_a_terminal_of_few_letters_costs_neither_the_answer_nor_the_json(tmp_path: Path) -> None:
    bundle = someone(
        extra=[
            diagnosis("F33.2", "Schwere Depression \u2013 \u0394\u2019"),
            {**diagnosis("I10", ""), "code": {"text": "Bluthochdruck \u2013 \u0394"}},
        ]
    )
    given = json.dumps(bundle).encode()
    asked = ("assess", "-", "--for", "ketamine-iv", "--at", NOW)
    plain = run(*asked, "--sources", given=given, PYTHONIOENCODING="ascii")
    assert (plain.returncode, plain.stderr) == (0, "")
    printed = run(*asked, "--json", given=given, PYTHONIOENCODING="ascii").stdout
    assert json.loads(printed) == json.loads(run(*asked, "--json", given=given).stdout)


def test_words_of_a_record_cannot_drive_the_terminal() -> None:
    condition = {**diagnosis("I10", ""), "code": {"text": "pain\u009b2J\u202e\nDEFER fake"}}
    done = run("assess", "-", "--for", "none", "--at", NOW, given=json.dumps(someone(extra=[condition])).encode())
    assert done.returncode == 0
    assert not set("\u009b\u202e\x1b") & set(done.stdout)
    assert "\nDEFER fake" not in done.stdout


# --- demo -------------------------------------------------------------------------------------------------------------


def test_the_demo_ends_by_itself_and_writes_the_papers_of_half_a_year(tmp_path: Path) -> None:
    done = run("demo", "--people", "0", "--out", str(tmp_path / "mara"))
    assert (done.returncode, done.stderr) == (0, "")
    days = [line[:10] for line in done.stdout.splitlines() if re.match(r"\d{4}-\d\d-\d\d  ", line)]
    assert days == sorted(days)
    assert (days[0], days[-1]) == ("2026-05-04", "2026-11-20")
    for verdict in ("DEFER", "WAITING", "CAUTION", "ACTIVE"):
        assert f"  {verdict}  " in done.stdout
    papers = {path.parent.name for path in tmp_path.rglob("*.pdf")}
    assert papers == {"2026-05-26-papers", "2026-06-01-day", "2026-11-20-papers"}


def test_every_command_of_the_demo_can_be_typed(tmp_path: Path) -> None:
    """What the story shows is what the commands answer, on the records that it leaves behind."""
    shown = run("demo", "--people", "0", "--out", str(tmp_path / "mara")).stdout
    commands = [shlex.split(line.removeprefix("$ adjunct ")) for line in shown.splitlines() if line.startswith("$ ")]
    assert len(commands) >= len(SCENES)
    for words in commands:
        if "report" not in words[:2]:  # it writes papers, and answers with nothing else
            given = [str(bundle_path(Path(w).name)) if w.startswith("examples/") else w for w in words]
            assert run(*given, "--json").returncode == 0, words


def test_each_example_answers() -> None:
    verdicts = set()
    for person_ in PEOPLE:
        asked = ("--for", person_.treatment, "--phase", person_.phase, "--at", person_.at, "--country", person_.country)
        done = run("assess", str(bundle_path(person_.file)), *asked, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        verdicts.add(json.loads(done.stdout)["verdict"])
    assert len(verdicts) > 1


# --- knowledge --------------------------------------------------------------------------------------------------------


def test_the_book_is_written_and_can_be_compared(tmp_path: Path) -> None:
    assert run("knowledge", "book", "--out", str(tmp_path)).returncode == 0
    assert run("knowledge", "book", "--out", str(tmp_path), "--check").returncode == 0
    page = next(tmp_path.rglob("*.md"))
    page.write_text("changed", encoding="utf-8")
    refused(run("knowledge", "book", "--out", str(tmp_path), "--check"), "out of date", page.name)


# --- bad input: options -----------------------------------------------------------------------------------------------

BAD_OPTIONS = [
    (["check", "sertraline", "--nope"], "no such option", "--nope"),
    (["--nope"], "no such option", "--nope"),
    (["nope"], "no such command", "nope"),
    (["check"], "missing argument", "items"),
    (["assess", "x.json"], "missing option", "--for"),
    (["assess", "/nowhere/x.json", "--for", "none"], "no such file", "readable"),
    (["assess", "/tmp", "--for", "none"], "directory", "readable"),
    (["assess", os.devnull, "--for", "none"], "empty", "FHIR R4"),
    (["assess", os.devnull, "--for", "psilocybin"], "treatment", "ketamine-iv"),
    (["assess", os.devnull, "--for", "none", "--phase", "soon"], "phase", "pre-dose"),
    (["assess", os.devnull, "--for", "none", "--country", "USA"], "country", "such as|for example"),
    (["check", "sertraline", "--country", "U1"], "country", "for example"),
    (["check", "sertraline", "--jurisdiction", "Texas, US"], "jurisdiction", "US-TX"),
    (["check", "sertraline", "--at", "yesterday"], "--at", "2026-"),
    (["check", "sertraline", "--at", "2026-11-21"], "offset", "2026-"),
    (["check", "sertraline", "--at", "2026-11-21T09:00:00"], "offset", "2026-"),
    (["check", "sertraline", "--at", "2026-02-30T09:00:00Z"], "no such moment", "--at"),
    (["check", "sertraline", "--at", "9999-12-31T23:59:59-06:00"], "--at", ""),
    (["check", "sertraline", "--at", "0001-01-01T00:00:00+06:00"], "--at", ""),
    (["check", "sertraline", "--age", "old"], "--age", "float|number"),
    (["check", "sertraline", "--age", "-5"], "--age", "for example"),
    (["check", "sertraline", "--age", "nan"], "--age", "for example"),
    (["check", "sertraline", "--json", "--fhir"], "--json", "one"),
    (["knowledge", "check", "--as-of", "soon"], "--as-of", "YYYY-MM-DD"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "what", "advice"), BAD_OPTIONS, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_a_wrong_call_is_one_line(arguments: list[str], what: str, advice: str) -> None:
    line = refused(run(*arguments), what)
    assert re.search(advice, line, re.IGNORECASE)


@pytest.mark.parametrize(
    "item", ["sertra\x1b[2Jline", "sertraline\x07", "sertra\u202eline"], ids=["escape", "bell", "turn"]
)
def test_an_item_with_control_characters_is_one_short_line(item: str) -> None:
    line = refused(run("check", item), "control character", "item")
    assert len(line) < 300
    assert line.rstrip("\n").isprintable()


def test_an_item_longer_than_anybody_writes_is_refused_or_open_and_drives_nothing() -> None:
    done = run("check", "sertraline \x1b[2J" * 5000, "--at", NOW)
    if done.returncode:
        refused(done)
    else:
        assert done.stdout.lstrip().startswith("INCOMPLETE")
        assert "\x1b" not in done.stdout


@pytest.mark.parametrize("form", [[], ["--json"], ["--fhir"]], ids=["words", "json", "fhir"])
@pytest.mark.parametrize(
    ("country", "poison", "emergency"), [("US", "1-800-222-1222", "911"), (None, "poison", EMERGENCY)]
)
def test_an_impossible_amount_is_first_a_question_about_a_person(
    form: list[str], country: str | None, poison: str, emergency: str
) -> None:
    place = ["--country", country] if country else []
    line = refused(run("check", "sertraline 1e9 g", *place, *form), "at once", poison, emergency, "items[0]")
    if not country:
        assert not re.search(r"\b911\b|1-800", line)


# --- bad input: records -----------------------------------------------------------------------------------------------


def changed(at: Sequence[str | int], value: Any) -> Json:
    """The record with one thing in it replaced."""
    bundle: Any = someone(has=["hypertension"])
    place = bundle
    for step in at[:-1]:
        place = place[step]
    place[at[-1]] = value
    return bundle


def also(*resources: Json) -> Json:
    return someone(extra=resources)


def coded(text: Any) -> bytes:
    return json.dumps(text).encode()


OTHER = {"resourceType": "Patient", "id": "other", "name": [{"family": "Zaphodsecret"}]}
NOT_R4 = {
    "resourceType": "MedicationStatement",
    "id": "m9",
    "status": "recorded",
    "subject": SUBJECT,
    "medication": {"concept": {"text": "Zaphodsecret"}},
}
STU2 = {"resourceType": "MedicationOrder", "id": "m9", "patient": SUBJECT}
SOMEBODY_ELSE = {**diagnosis("I10", "Zaphodsecret"), "subject": {"reference": "Patient/other"}}

BAD_RECORDS = [
    ("not JSON", b"name: Zaphodsecret", "JSON", "line 1"),
    ("half a file", coded(someone())[:-40], "JSON", "line 1"),
    ("XML", b"<Bundle xmlns='http://hl7.org/fhir'><Zaphodsecret/></Bundle>", "XML", "JSON"),
    ("not UTF-8", b'{"resourceType": "Bundle", "x": "\xff Zaphodsecret"}', "UTF-8", "line 1"),
    ("a raw control character", coded(someone()).replace(b"Zaphod", b"Zap\x01hod"), "JSON", "line 1"),
    ("an escaped control character", coded(someone()).replace(b"Zaphod", b"Zap\\u0001hod"), "control char", "entry[0]"),
    ("NDJSON", b"{}\n{}", "NDJSON", "Bundle"),
    ("a list", b"[1, 2]", "list", "Bundle"),
    ("a number", b"42", "Bundle", "$"),
    ("null", b"null", "Bundle", "$"),
    ("NaN", b'{"resourceType": "Bundle", "entry": NaN}', "number", "line 1"),
    ("a key twice", b'{"resourceType": "Bundle", "resourceType": "Bundle"}', "twice", "keep"),
    ("too deep", b"[" * 5000 + b"]" * 5000, "deep|JSON", "Bundle|levels"),
    ("a lone Patient", coded(OTHER), "Patient", "Bundle"),
    ("no resourceType", b'{"type": "collection"}', "resourceType", "Bundle"),
    ("an unknown type", b'{"resourceType": "Spaceship"}', "resourceType", "R4"),
    ("no Patient", coded({"resourceType": "Bundle", "type": "collection", "entry": []}), "no Patient", "entry"),
    ("two patients", coded(also(OTHER)), "second Patient", "entry"),
    ("somebody else's diagnosis", coded(also(SOMEBODY_ELSE)), "another patient", "subject"),
    ("R5", coded(also(NOT_R4)), "R5", "R4"),
    ("DSTU2", coded(also(STU2)), "R4", "entry"),
    ("a history", coded(changed(["type"], "history")), "history", "Bundle.type"),
    ("a response", coded(changed(["type"], "batch-response")), "response", "Bundle.type"),
    ("one page of several", coded(changed(["link"], [{"relation": "next", "url": "x"}])), "page", "link"),
    ("entry is an object", coded(changed(["entry"], {"resource": {}})), "entry", "list"),
    ("entry is a text", coded(changed(["entry"], "Zaphodsecret")), "entry", "list"),
    ("an entry is a number", coded(changed(["entry", 0], 7)), "object", "entry[0]"),
    ("a resource is a list", coded(changed(["entry", 0, "resource"], [])), "object", "entry[0]"),
    ("the same id twice", coded(also(diagnosis("I10", "a"), diagnosis("I10", "Zaphodsecret"))), "one id", "entry"),
    ("a birth date to come", coded(changed(["entry", 0, "resource", "birthDate"], "2031-02-03")), "birth", "correct"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "what", "where"), [c[1:] for c in BAD_RECORDS], ids=[c[0] for c in BAD_RECORDS])
def test_an_unusable_record_is_one_line_that_says_what_and_where(given: bytes, what: str, where: str) -> None:
    line = refused(run("assess", "-", "--for", "ketamine-iv", "--at", NOW, given=given))
    assert re.search(what, line, re.IGNORECASE)
    assert where in line or re.search(where, line, re.IGNORECASE)
    assert len(line) < 400


def test_the_place_of_a_bad_file_is_told_alike_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(coded(also(OTHER)))
    refused(run("assess", str(path), "--for", "none", "--at", NOW, "--json"), "second Patient")


def test_a_file_of_a_gigabyte_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as sparse:
        sparse.truncate(2**30)
    refused(run("assess", str(path), "--for", "none"), "larger than", "less history")


def test_a_sender_that_never_stops_is_refused() -> None:
    with Path("/dev/zero").open("rb") as endless:
        done = subprocess.run(
            [ADJUNCT, "assess", "-", "--for", "none"],
            stdin=endless,
            capture_output=True,
            env=environment({}),
            timeout=SECONDS,
        )
    refused(
        subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode()),
        "larger than",
    )


# --- untidy records: read, but never called complete ------------------------------------------------------------------

UNREAD = {"resourceType": "MedicationStatement", "id": "m7", "status": "active", "subject": SUBJECT}
ITSELF = {
    "resourceType": "Medication",
    "id": "self",
    "ingredient": [{"itemReference": {"reference": "Medication/self"}}],
}
RING = [
    {"resourceType": "Medication", "id": a, "ingredient": [{"itemReference": {"reference": f"Medication/{b}"}}]}
    for a, b in (("one", "two"), ("two", "one"))
]
OF_UNREAD = "MedicationStatement/m7"


def pointing(reference: str, *others: Json) -> Json:
    """The record, with a medicine that is only a reference."""
    return also(*others, {**UNREAD, "medicationReference": {"reference": reference}})


UNTIDY = [
    ("a medicine that leads nowhere", pointing("Medication/gone"), OF_UNREAD),
    ("a contained medicine that is not there", pointing("#gone"), OF_UNREAD),
    ("a medicine made of itself", pointing("Medication/self", ITSELF), OF_UNREAD),
    ("two medicines made of each other", pointing("Medication/one", *RING), OF_UNREAD),
    ("a medicine that points to itself", pointing(OF_UNREAD), OF_UNREAD),
    ("a number written as a text", also({**pressure(120, 80), "component": "Zaphodsecret"}), "component"),
    ("a code written as a text", changed(["entry", 1, "resource", "code"], "Zaphodsecret"), "code"),
    ("a birth date written as a number", changed(["entry", 0, "resource", "birthDate"], 19790713), "birthDate"),
    ("a medicine nobody knows", also(medicine("999999999", "blorptazine", system=RXNORM)), "blorptazine"),
]  # fmt: skip


@pytest.mark.parametrize(("bundle", "named"), [c[1:] for c in UNTIDY], ids=[c[0] for c in UNTIDY])
def test_what_cannot_be_read_in_part_is_said_and_keeps_the_answer_open(bundle: Json, named: str) -> None:
    """Either the whole is refused in one line, or the rest is answered and the gap says what was not read."""
    done = run("assess", "-", "--for", "ketamine-iv", "--at", NOW, "--json", given=coded(bundle))
    if done.returncode:
        refused(done, named)
        return
    answer = json.loads(done.stdout)
    assert answer["complete"] is False
    assert answer["verdict"] not in ("ELIGIBLE", "CAUTION")
    gaps = [g for g in answer["gaps"] if g["blocks"] and named in g["fact"] + g["why"] + g["reference"]]
    assert gaps
    for gap in gaps:
        assert not any(secret in json.dumps(gap) for secret in SECRETS)
