"""Each sample is read as it says, by the API and by the command, and stays as it is on disk."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.config import load_config
from adrkit.record import Record
from adrkit.repository import RecordRepository


def _samples() -> ModuleType:
    spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["samples"] = module
    spec.loader.exec_module(module)
    return module


samples = _samples()
SAMPLES = [sample for group in samples.GROUPS for sample in group.samples]
IDS = [f"{group.title}: {sample.what}" for group in samples.GROUPS for sample in group.samples]


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_sample_is_read_as_the_documents_say(tmp_path: Path, sample: object) -> None:
    assert isinstance(sample, samples.Sample)
    (tmp_path / "adrkit.toml").write_text(f'directory = "adr"\n{sample.settings}\n')
    (tmp_path / "adr").mkdir()
    path = tmp_path / "adr" / sample.name
    path.write_bytes(sample.text.encode())
    repository = RecordRepository.of(load_config(tmp_path))
    (record,) = repository.list()
    assert record.number == sample.number
    assert (record.status_kind.value if record.status_kind else None) == sample.status
    assert (record.date_value.isoformat() if record.date_value else None) == sample.date
    assert sorted((r.kind.value, r.number) for r in record.relations) == sorted(sample.relations)
    assert (record.deciders, record.tags) == (sample.deciders, sample.tags)
    if sample.title:
        assert record.name == sample.title
    for relation in record.relations:
        assert str(relation.number) in record.document.source.line_text(relation.line)
    assert path.read_bytes() == sample.text.encode()


def test_command_lists_every_sample(tmp_path: Path) -> None:
    (tmp_path / "adrkit.toml").write_text('directory = "adr"\n')
    for index, sample in enumerate(SAMPLES):
        folder = tmp_path / "adr" / f"{index:03d}"
        folder.mkdir(parents=True)
        (folder / sample.name).write_bytes(sample.text.encode())
    result = CliRunner().invoke(app, ["-C", str(tmp_path), "list", "--json"])
    assert result.exit_code == 0, result.stderr
    listed = {entry["path"].split("/")[1]: entry for entry in json.loads(result.stdout)}
    assert len(listed) >= len(SAMPLES) - 4  # those in words of their own, without the settings
    for index, sample in enumerate(SAMPLES):
        if not sample.settings:
            assert listed[f"{index:03d}"]["status"] == sample.status, sample.what


def test_page_on_dialects_is_that_of_the_samples() -> None:
    written = samples.REPOSITORY / "docs/adrkit/dialects.md"
    if not written.exists():
        pytest.skip("only in the repository: docs/adrkit/dialects.md")
    assert written.read_text(encoding="utf-8") == samples.page(), "run samples.py"


def test_what_is_no_record_is_said(tmp_path: Path) -> None:
    (tmp_path / "adrkit.toml").write_text('directory = "adr"\n')
    (tmp_path / "adr").mkdir()
    (tmp_path / "adr/0001-a.md").write_text("# ADR-0001: A\n\n**Status:** Accepted\n")
    for name in ("how-we-decide.md", "README.md", "template.md"):
        (tmp_path / "adr" / name).write_text("# How\n\nWe decide on Mondays.\n")
    for command in ("list", "lint"):
        result = CliRunner().invoke(app, ["-C", str(tmp_path), command])
        assert "adr/how-we-decide.md" in result.stderr
        assert "README" not in result.stderr
    (tmp_path / "adrkit.toml").write_text('directory = "adr"\nexclude = ["how-*.md"]\n')
    result = CliRunner().invoke(app, ["-C", str(tmp_path), "list"])
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('statuses = { "Done" = "Finished" }', "cannot mean 'finished'"),
        ('headings = { "Warum" = "why" }', "cannot mean 'why'"),
        ('fields = { "Stand" = "state" }', "cannot mean 'state'"),
        ("statuses = { Done = 1 }", "table of words"),
        ('statuses = "Done"', "table of words"),
    ],
)
def test_word_that_means_nothing_is_refused(tmp_path: Path, settings: str, said: str) -> None:
    (tmp_path / "adrkit.toml").write_text(f"{settings}\n")
    result = CliRunner().invoke(app, ["-C", str(tmp_path), "list"])
    assert result.exit_code == 2
    assert said in result.stderr


def test_own_status_is_a_view_and_the_file_keeps_its_word(tmp_path: Path) -> None:
    text = "# ADR-0001: A\n\n**Date:** 2026-01-31\n**Status:** Umgesetzt\n"
    (tmp_path / "adrkit.toml").write_text(
        'directory = "adr"\nstatuses = { "Umgesetzt" = "Accepted" }\n'
    )
    (tmp_path / "adr").mkdir()
    path = tmp_path / "adr/0001-a.md"
    path.write_text(text)
    run = CliRunner()
    assert "Accepted" in run.invoke(app, ["-C", str(tmp_path), "list", "-s", "umgesetzt"]).stdout
    lint = run.invoke(app, ["-C", str(tmp_path), "lint", "--fix", "-f", "json"]).stdout
    assert "ADR205" not in lint
    assert "ADR206" not in lint
    assert path.read_text() == text
    assert Record.read(path).status_kind is None  # the settings are the project's
