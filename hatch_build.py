"""Build hook: compile the knowledge into the one file that the installed package reads.

The compiler is part of the package but uses the standard library alone, so it can be loaded by its path before the
package, or anything it depends on, is installed. Run directly it only writes the file.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
KNOWLEDGE = ROOT / "src" / "adjunct" / "knowledge"


def compile_into(target: Path) -> Path:
    """Write the compiled knowledge; a faulty data file stops the build with the compiler's own message."""
    spec = importlib.util.spec_from_file_location("_adjunct_knowledge_compiled", KNOWLEDGE / "compiled.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(KNOWLEDGE / "compiled.py")
    compiler = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compiler)
    compiled: bytes = compiler.sealed(compiler.compile_knowledge(KNOWLEDGE / "data"))
    if not target.is_file() or target.read_bytes() != compiled:
        target.write_bytes(compiled)
    return target


class KnowledgeHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs for wheels, source archives and editable installs alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  the interface's signature
        compile_into(KNOWLEDGE / "knowledge.json")


if __name__ == "__main__":
    compile_into(KNOWLEDGE / "knowledge.json").touch()
