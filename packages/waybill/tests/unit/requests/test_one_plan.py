"""A plan is made in one place: a second one could forget a tenant's row scope."""

from __future__ import annotations

import ast
from pathlib import Path

import waybill

ROOT = Path(waybill.__file__).parent
CHOOSERS = {
    "formats/__init__.py",
    "formats/compress.py",
    "local/demo.py",  # to refuse an unknown format before anything starts
    "requests/check_formats.py",  # to hold every format against a type
    "requests/plan.py",
    "requests/request.py",  # to check what is asked for
    "requests/source_columns.py",  # to hold the format against the source's columns
    "results/unguard.py",  # to say so where the format is not installed
    "results/verify.py",  # of files, by what their manifests say
}


def calls(*names: str) -> set[str]:
    """Return the modules that call one of these."""
    found = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in names:
                found.add(path.relative_to(ROOT).as_posix())
    return found


def test_plan_and_its_locks_are_made_in_one_module() -> None:
    assert calls("ExportPlan") == {"requests/plan.py"}
    # The other looks up the names of a type's columns, and reads no row.
    assert calls("Reads") == {"requests/plan.py", "requests/source_columns.py"}


def test_encoder_and_codec_are_chosen_once() -> None:
    assert calls("get_encoder", "get_codec") <= CHOOSERS


def test_whoever_reads_rows_fills_computed_columns_in() -> None:
    reading = {
        path.relative_to(ROOT).as_posix(): text
        for path in ROOT.rglob("*.py")
        if "snapshot.copy(" in (text := path.read_text(encoding="utf-8"))
    }
    assert set(reading) == {
        "pipeline/ranges.py",  # of which plans with computed columns are kept (open_reader)
        "pipeline/row_reader.py",
        "requests/check_formats.py",
        "requests/preview.py",
        "run/resumable.py",
        "run/stream_reader.py",
    }
    for name, text in reading.items():
        assert text.count("snapshot.copy(") == text.count("with_computed(") or name in {
            "pipeline/ranges.py"
        }
