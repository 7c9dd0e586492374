"""npm `fhir-kit-client` against the running server."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.fhir_corpora import examples_folder

from served import base  # noqa: F401  a fixture

EXPECTED = {
    "capabilities": ["CapabilityStatement", "4.0.1"],
    "versions": ["1", "2", "3"],
    "first": None,
    "now": "female",
    "headers": ['W/"3"', "application/fhir+json; charset=utf-8"],
    "lost": [412, "conflict"],
    "transaction": ["201"] * 5,
    "dangling": [400, "not-found"],
    "batch": [["200", None], ["404", None], ["200", 5]],
    "pages": [[60, 61], [62, 63], [64]],
    "posted": 5,
    "compartment": 5,
    "system": 1,
    "everything": 6,
    "validate": ["Patient.gender"],
    "resolved": True,
    "conditionalCreate": True,
    "conditionalUpdate": [True, "4"],
    "gone": [410, "deleted"],
    "history": ["DELETE", "PUT", "PUT", "PUT", "PUT"],
    "ofType": True,
    "ofAll": "history",
    "unknown": [400, "not-supported"],
}


def test_the_whole_way_of_a_client(base: str) -> None:
    examples_folder()  # skips where `npm ci` was not run
    node = shutil.which("node") or pytest.skip("needs node")
    script = Path(__file__).parent / "fhir_kit_client.mjs"
    done = subprocess.run([node, str(script), base], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED
