"""House rules that a linter does not know: where numbers may stand, what may be tracked, what the pages promise."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from adjunct.knowledge.compiled import compile_knowledge

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "adjunct"
MODULES = sorted(SOURCE.rglob("*.py"))
ALLOWLIST = tomllib.loads((ROOT / "tests" / "literal_allowlist.toml").read_text(encoding="utf-8"))
FREE = {-1, 0, 1, 2}
LONGEST_MODULE = 600
NOT_OURS = {"LICENSE"}  # texts that are quoted whole


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- no clinical number in code ---------------------------------------------------------------------------------------


def numbers(tree: ast.AST) -> Iterator[ast.Constant]:
    """Numeric literals outside the free ones; a minus sign is an operator and does not hide one."""
    for node in ast.walk(tree):
        number = isinstance(node, ast.Constant) and isinstance(node.value, int | float | complex)
        if number and not isinstance(node.value, bool) and node.value not in FREE:
            yield node


def named_constants(tree: ast.Module) -> dict[str, list[ast.Constant]]:
    """Numbers that stand in `NAME = ...` at module level, or as `Class.NAME` in a class body."""
    found: dict[str, list[ast.Constant]] = {}
    bodies = [("", tree.body)] + [(f"{node.name}.", node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
    for prefix, statement in ((prefix, s) for prefix, body in bodies for s in body):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[prefix + name] = list(numbers(value))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[prefix + name] = list(numbers(value))
    return {name: inside for name, inside in found.items() if inside}


def smuggled(text: str, allowed: set[str]) -> list[str]:
    """Numbers of a module that no reviewed constant accounts for, as `line: literal`."""
    tree = ast.parse(text)
    excused = {id(node) for name, inside in named_constants(tree).items() if name in allowed for node in inside}
    return [f"{node.lineno}: {node.value!r}" for node in numbers(tree) if id(node) not in excused]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_numbers_live_in_knowledge_and_not_in_code(path: Path) -> None:
    reviewed = ALLOWLIST.get(path.relative_to(SOURCE).as_posix(), {})
    assert smuggled(path.read_text(encoding="utf-8"), set(reviewed)) == []


@pytest.mark.parametrize("listed", ALLOWLIST)
def test_every_reviewed_constant_exists_and_has_a_reason(listed: str) -> None:
    present = named_constants(ast.parse((SOURCE / listed).read_text(encoding="utf-8")))
    for name, reason in ALLOWLIST[listed].items():
        assert name in present, f"{listed}: {name} is gone, strike it from the list"
        assert re.match(r"(unit|layout|solver): \S+ \S+", reason), (
            f"{listed}: {name} needs `unit:|layout:|solver:` and why"
        )


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("x = 160", ["1: 160"]),
        ("def f(): return bp >= 160.0", ["1: 160.0"]),
        ("x = -3", ["1: 3"]),
        ("LIMIT = 40\nx = LIMIT * 3", ["1: 40", "2: 3"]),
        ("WIDTH = 80\nx = WIDTH + 1", []),
        ("class A:\n    WIDTH = 80", ["2: 80"]),
        ("WIDTH = 80\ndef f(WIDTH=90): pass", ["2: 90"]),
        ("x = True, 2, -1, 0.0", []),
    ],
)
def test_the_scan_sees_what_it_should(text: str, seen: list[str]) -> None:
    assert smuggled(text, {"WIDTH"}) == seen


# --- modules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_has_one_reason_to_change(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST_MODULE


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    if path.parent == SOURCE / "cli":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"print", "sys.exit", "exit", "quit"}, f"line {node.lineno}"


#: Calls that read the machine's clock. `__init__` and `cli` are the shells that may, to fill `at=None`.
CLOCKS = re.compile(r"(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|monotonic|gmtime|localtime))\Z")


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_nothing_below_the_shells_reads_a_clock(path: Path) -> None:
    if path.parent == SOURCE / "cli" or path == SOURCE / "__init__.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert not CLOCKS.search(ast.unparse(node.func)), f"line {node.lineno}"


#: Modules that need an extra, and that others import only where they are asked for.
NEEDS_AN_EXTRA = {"src/adjunct/fhir/sql/postgres.py"}


def test_every_import_is_a_declared_dependency() -> None:
    """At module level only what an installation brings; inside a function also what an extra brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [need for extra in project["optional-dependencies"].values() for need in extra]
    always, sometimes = (
        {re.split(r"[^A-Za-z0-9_-]", need)[0] for need in needs}
        for needs in (project["dependencies"], [*project["dependencies"], *extras])
    )
    homes = {
        top: [name.lower().replace("_", "-") for name in names]
        for top, names in importlib.metadata.packages_distributions().items()
    }
    strangers = set()
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            declared = always if node in tree.body and named(path) not in NEEDS_AN_EXTRA else sometimes
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"adjunct"}:
                if not declared & set(homes.get(top, ())):
                    strangers.add(f"{named(path)}: {top}")
    assert strangers == set()


def test_no_room_without_a_subject() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


# --- tracked files ----------------------------------------------------------------------------------------------------


@cache
def tracked() -> tuple[Path, ...]:
    """Files under version control (or about to be); outside a repository, every file that is not made here."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        paths = [ROOT / name for name in listed.split("\0") if name]
    else:
        made = {".venv", ".git", "node_modules", "mutants", "build", "dist"}
        paths = [p for p in ROOT.rglob("*") if not made & set(p.relative_to(ROOT).parts) and "cache" not in str(p)]
    return tuple(p for p in paths if p.is_file() and p.suffix not in {".png", ".pyc", ".gz", ".zip"})


#: Spelled so that this file does not find itself. Where packages come from, and where somebody's checkout lies.
REGISTRIES = re.compile(r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|artif[a]ctory|nexus/[r]epository")
PLACES = re.compile(r"""(?:^|[\s"'(=:`])/(?:home|root|Users|work|tmp|opt|mnt)/[\w.-]+""", re.MULTILINE)


@pytest.mark.parametrize("forbidden", [REGISTRIES, PLACES], ids=["registry", "machine path"])
def test_tracked_files_name_no_registry_and_no_machine(forbidden: re.Pattern[str]) -> None:
    found = {}
    for path in tracked():
        hit = forbidden.search(path.read_text(encoding="utf-8", errors="replace"))
        if hit and path.name not in NOT_OURS:
            found[named(path)] = hit[0].strip()
    assert found == {}


def test_the_scans_of_tracked_files_can_find_something() -> None:
    assert REGISTRIES.search("--index-" + "url https://" + "pypi" + ".org/simple")
    assert PLACES.search('"' + "/home" + '/ana/adjunct"')
    assert PLACES.search("see https://example.org/home/page") is None
    assert len(tracked()) > len(MODULES)


def test_made_files_are_not_tracked() -> None:
    assert not [named(p) for p in tracked() if p == SOURCE / "knowledge" / "knowledge.json" or "__pycache__" in p.parts]


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.lock")), ids=named)
def test_the_lock_is_complete_and_names_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert not re.search(r"^\s*-(?!-hash)|://", text, re.MULTILINE)
    packages = re.findall(
        r"^([a-z0-9][a-z0-9._-]*)==\S+.*\\\n((?:\s+--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE
    )
    assert len(packages) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)), "a package without a hash"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(p for extra in project["optional-dependencies"].values() for p in extra)]
    assert {re.split(r"[^a-z0-9_-]", need)[0] for need in wanted} <= {name for name, _ in packages}


def test_the_javascript_lock_names_no_registry() -> None:
    lock = ROOT / "package-lock.json"
    if lock.exists():
        assert '"resolved"' not in lock.read_text(encoding="utf-8")


# --- what the pages promise -------------------------------------------------------------------------------------------

PAGES = [
    p for p in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))) if p.exists()
]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_command_in_a_page_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    written = set(re.findall(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert written <= targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_every_name_in_the_hazard_log_exists() -> None:
    """A control that nobody can find is none: its tests, its rules, and the decisions it refers to."""
    page = (ROOT / "docs" / "safety" / "hazard-log.md").read_text(encoding="utf-8")
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    rules = set(re.findall(r"(\S+)@\d+", (ROOT / "tests" / "cases" / "rule_ids.txt").read_text(encoding="utf-8")))
    words = {"project-default"}  # a source
    named_tests = set(re.findall(r"`(test_\w+)`", page))
    named_rules = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", page)) - words
    assert len(named_tests) > len(named_rules) > 0
    assert named_tests - tests == set()
    assert named_rules - rules == set()
    decisions = {path.name.partition("-")[0] for path in (ROOT / "docs" / "adr").glob("0*.md")}
    assert set(re.findall(r"ADR (\d{4})", page)) <= decisions
    rows = re.findall(r"^\| (H\d{2,3}) \|(.*)\|$", page, re.MULTILINE)
    assert len({number for number, _ in rows}) == len(rows), "a number stands twice"
    assert [number for number, row in rows if row.count("|") != 3 or "| |" in row] == []


def test_the_list_of_decisions_is_complete() -> None:
    folder = ROOT / "docs" / "adr"
    listed = re.findall(
        r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \|$", (folder / "README.md").read_text("utf-8"), re.MULTILINE
    )
    written = sorted(folder.glob("[0-9]*.md"))
    assert [name for _, name, _ in listed] == [path.name for path in written]
    for (number, _, title), path in zip(listed, written, strict=True):
        assert path.read_text(encoding="utf-8").startswith(f"# {number} {title}\n")


def test_the_changelog_counts_what_the_knowledge_holds() -> None:
    """Of the newest edition only: one that is out keeps its numbers."""
    newest = " ".join((ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1].split())
    if "edition, as of" not in newest:
        return
    held = json.loads(compile_knowledge(SOURCE / "knowledge" / "data"))
    kinds = ("sources", "facts", "concepts", "rules", "substances", "names")
    status = {kind: Counter(entry["status"] for entry in held[kind]) for kind in ("facts", "rules", "substances")}
    read = Counter(source["read_as"] for source in held["sources"])
    defaults = Counter(fact["source"] for fact in held["facts"])
    lines, law, as_of = held["crisis_lines"], held["jurisdictions"], held["knowledge"]["as_of"]
    numbers = [line for line in lines if line["for_whom"] == "emergency"]
    late, late_law, late_numbers = (sum(r["review_by"] < as_of for r in rows) for rows in (lines, law, numbers))
    sentences = [
        ", ".join(f"{len(held[kind])} {kind}" for kind in kinds) + ".",
        *(f"{status[kind]['proposed']} of {len(held[kind])} are proposed" for kind in status),
        f"{status['facts']['reported']} reported, {status['facts']['verified']} verified. - **Rules.**",
        f"{status['rules']['reported']} reported, {status['rules']['verified']} verified. Their",
        f"{defaults['project-default']} defaults of this project",
        f"{defaults['uncited']} `uncited` ones",
        f"{sum(n['verification'].startswith('U') for n in held['names'])} of {len(held['names'])} product",
        f"{read['excerpt']} of {len(held['sources'])} were read as excerpts, {read['full']} in full",
        f"{len(held['claims'])} claims with grades; {len(law)} rows of law on kratom; {len(lines)} crisis",
        f"All {sum(len(s.get('effects', ())) for s in held['substances'])} effect weights",
        f"{late_law} of {len(law)} rows of law and {late} of {len(lines)} lines are past their review date",
        f"({late_numbers} of {len(numbers)} emergency numbers among them)",
        f"{sum(line['verification'].startswith('U') for line in lines)} lines were not confirmed",
    ]
    assert [said for said in sentences if said not in newest] == [], "count again in CHANGELOG.md"


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=named)
def test_a_picture_asks_nobody_for_anything(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|@import|@font-face|<script|<image|url\((?!#)", text)


def test_the_picture_shows_what_check_answers() -> None:
    picture = tool("picture")
    assert picture.TARGET.read_text(encoding="utf-8") == picture.drawn(), "run tools/picture.py"


#: Stops the program where it would reach out, or leave something behind.
WATCH = """
import sys
def watch(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if event in ("socket.__new__", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir") or writes:
        print("watched:", event, *map(repr, args[:2]), file=sys.stderr)
        raise SystemExit(99)
sys.addaudithook(watch)
from adjunct.cli import main
main()
"""


PLANNED = ("--protocol", "esketamine-trd", "--start", "2027-01-11", "--at", "2026-11-21T09:00:00-06:00")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "sertraline 50 mg", "phenelzine", "kratom", "--country", "US"],
        ["check", "sertraline", "--fhir"],
        ["assess", str(SOURCE / "examples" / "ana-first-visit.json"), "--for", "ketamine-iv", "--phase", "pre-dose"],
        ["assess", str(SOURCE / "examples" / "ana-first-visit.json"), "--for", "none", "--json"],
        ["simulate", "esketamine", "--dose", "56 mg", "--route", "nasal", "--weight", "70", "--json"],
        ["interact", "midazolam", "--with", "kratom-leaf", "--predict"],
        ["score", "phq-9", "--answers", "1,2,1,0,2,1,0,0,1"],
        ["triage", "I cannot go on", "--country", "US", "--json"],
        ["follow", str(SOURCE / "examples" / "ana-first-visit.json"), "--json"],
        ["plan", str(SOURCE / "examples" / "ana-first-visit.json"), *PLANNED, "--json"],
        ["routine", str(SOURCE / "examples" / "ana-first-visit.json"), "--json"],
        ["request", str(SOURCE / "examples" / "mara-request.toml"), "--json"],
        ["protocols", "esketamine-trd", "--fhir"],
        ["session", "replay", str(SOURCE / "examples" / "treatment-day.jsonl"), "--json"],
        ["session", "simulate", "--scenario", "hypertensive-surge", "--json"],
    ],
    ids=" ".join,
)
def test_an_answer_opens_no_connection_and_writes_no_file(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-B", "-c", WATCH, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


QUESTIONS = [
    (page, line)
    for page in PAGES
    for line in re.findall(
        r"^adjunct (?:check|assess|simulate|interact|models|score|questionnaire|follow|triage|safety-plan"
        r"|plan|protocols|routine|schedule|request|session (?:simulate|replay|ready|messages|stock))\b.*$",
        page.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
]


@pytest.mark.parametrize(("page", "line"), QUESTIONS, ids=lambda value: named(value) if isinstance(value, Path) else "")
def test_every_question_shown_on_a_page_is_answered(page: Path, line: str) -> None:
    line = re.sub(
        r"--(?:plot|page|ics|pdf|requests|out) \S+", "", line
    )  # what is written to a file has tests of its own
    command = [sys.executable, "-m", *shlex.split(line.replace("adjunct", "adjunct.cli", 1))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_makefile_explains_each_command() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = set(re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
    assert declared == set(re.findall(r"^([a-z]+):.*## \S", text, re.MULTILINE))


def test_continuous_integration_runs_what_people_run() -> None:
    run = ROOT / ".ci" / "run"
    assert run.stat().st_mode & 1, "not executable"
    assert [line for line in run.read_text(encoding="utf-8").splitlines() if line.startswith("make")] == [
        "make test",
        "make check",
    ]


# --- units ------------------------------------------------------------------------------------------------------------


@cache
def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def unit_tool() -> ModuleType:
    return tool("ucum_table")


def test_the_unit_table_is_what_its_tool_makes() -> None:
    table = unit_tool()
    assert table.TABLE.read_text(encoding="utf-8") == table.rendered(table.make())


@pytest.mark.filterwarnings("default")
def test_an_independent_reader_of_ucum_agrees() -> None:
    pytest.importorskip("ucumvert", reason="the unit table is checked against pint + ucumvert where they are installed")
    assert unit_tool().disagreements(unit_tool().make()) == []


@pytest.mark.parametrize(
    ("code", "dimension", "factor"),
    [
        ("mg/dL", "M.L-3", 10.0),
        ("umol/L", "N.L-3", 1e-3),
        ("mm[Hg]", "M.L-1.T-2", 133322.0),
        ("kg/m2", "M.L-2", 1000.0),
        ("mg/kg", "M.M-1", 1e-6),  # not "1": half a milligram a kilogram is not the number 0.0000005
        ("m[iU]/mL", "[iU].L-3", 1000.0),
        ("meq/L", "eq.L-3", 1.0),  # not a mole: magnesium has two equivalents
        ("{beats}/min", "T-1", 1 / 60),
        ("{tablet}", "{tablet}", 1.0),
        ("{score}", "1", 1.0),
    ],
)
def test_units_that_a_reader_can_check_by_hand(code: str, dimension: str, factor: float) -> None:
    line = unit_tool().compose(code)
    assert (line.dimension, line.factor, line.offset) == (dimension, factor, 0.0)


def test_the_tool_refuses_a_unit_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="'furlong' is not an atom"):
        unit_tool().compose("furlong")


def test_spellings_lead_to_codes_and_are_none_themselves() -> None:
    assert unit_tool().lost_aliases(unit_tool().make()) == []
