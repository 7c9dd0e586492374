"""`adjunct knowledge`: check it, compile it, print its book."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adjunct.base import BadInput, Refused

app = typer.Typer(help="The knowledge base: check it, compile it, print its book.", no_args_is_help=True)


@app.command("check")
def knowledge_check(
    as_of: Annotated[str | None, typer.Option("--as-of", help="Judge expiry on this date (YYYY-MM-DD).")] = None,
) -> None:
    """Refuse numbers without a source, rules without cases, texts beyond their grade, and what has expired."""
    from datetime import date

    from adjunct.knowledge.compiled import FileError, compile_knowledge
    from adjunct.knowledge.lint import check
    from adjunct.knowledge.load import HERE

    if as_of is not None:
        try:
            date.fromisoformat(as_of)
        except ValueError:
            raise BadInput("not a date: write YYYY-MM-DD", "--as-of") from None
    try:
        text = compile_knowledge(HERE / "data")
    except FileError as error:
        raise Refused(f"knowledge file {error}") from None
    import orjson

    content = orjson.loads(text)
    faults = check(content, as_of=as_of)
    for fault in faults:
        typer.echo(fault)
    counts = ", ".join(
        f"{len(content[k])} {k}" for k in ("sources", "facts", "concepts", "rules", "substances", "names")
    )
    typer.echo(f"{counts}: {len(faults)} faults", err=True)
    if faults:
        raise typer.Exit(code=Refused.exit_code)


@app.command("compile")
def knowledge_compile() -> None:
    """Compile the knowledge files after an edit."""
    from adjunct.knowledge import Knowledge

    typer.echo(f"knowledge {Knowledge.compile().version}", err=True)


@app.command("book")
def knowledge_book(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("docs/reference"),
    check_only: Annotated[bool, typer.Option("--check", help="Only compare; fail if the book is out of date.")] = False,
) -> None:
    """Print every rule, fact, substance, claim and model with its sources, and the validation report, as Markdown."""
    import adjunct
    from adjunct.devices.faults import faults
    from adjunct.documents import day_reference, follow_up, record_reference, validation
    from adjunct.fhir.memory import MemoryRepository
    from adjunct.fhir.rest import Rules, Service
    from adjunct.knowledge import book
    from adjunct.serve import assessing
    from adjunct.serve.service import with_exports
    from adjunct.serve.settings import Settings

    knowledge = adjunct._knowledge()
    seed = day_reference.SEED
    table = faults(day_reference.runs(knowledge), seed, knowledge)
    pages = book.pages(knowledge) | validation.pages(knowledge) | follow_up.pages(knowledge)
    pages |= day_reference.pages(knowledge, day_reference.Faults(seed, *table))
    rules = Rules(base="", clock=lambda: 0, operations=assessing.operations())
    with with_exports(Service(MemoryRepository(lambda: 0), rules)) as served:
        pages |= record_reference.pages(served.rules, Settings().model_dump())
    stale = []
    for name, text in pages.items():
        path = out / name
        if check_only:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        raise BadInput(f"the book is out of date: {', '.join(stale)}; run `adjunct knowledge book`")
