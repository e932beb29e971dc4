from __future__ import annotations

from pathlib import Path

import pytest

from adrkit.config import load_config
from adrkit.errors import NumberTaken
from adrkit.git import Git
from adrkit.ledger import NumberLedger
from adrkit.record import Record
from adrkit.renumber import RenumberPlan, apply_plan, plan_renumber
from adrkit.repository import RecordRepository
from adrkit.testing import GitProject, house


def plan(project: GitProject, name: str, number: int | None = None) -> RenumberPlan:
    config = load_config(project.root)
    repository = RecordRepository.of(config)
    ledger = NumberLedger(repository, Git.find(project.root))
    return plan_renumber(config, repository, ledger, repository.resolve(name), number)


def renumber(project: GitProject, name: str, number: int | None = None) -> RenumberPlan:
    made = plan(project, name, number)
    apply_plan(load_config(project.root), RecordRepository(project.records), made)
    return made


def test_file_title_links_and_citations_follow(project: GitProject) -> None:
    project.record(2, "use-queues")
    project.write("docs/adr/0003-b.md", house(3) + "- see [ADR-0002](0002-use-queues.md#why)\n")
    project.write("src/app.py", "# ADR-0002: queues\nX = 'docs/adr/0002-use-queues.md'\n")
    project.write("README.md", "[2. Queues](docs/adr/0002-use-queues.md), ADR-2, ADR-0020\n")
    project.commit()
    done = renumber(project, "2")
    assert (done.old, done.new, done.ambiguous) == (2, 4, ())
    assert not (project.records / "0002-use-queues.md").exists()
    moved = project.records / "0004-use-queues.md"
    assert moved.read_text() == house(4, "Use Queues")
    assert (
        (project.records / "0003-b.md")
        .read_text()
        .endswith("- see [ADR-0004](0004-use-queues.md#why)\n")
    )
    assert (project.root / "src/app.py").read_text() == (
        "# ADR-0004: queues\nX = 'docs/adr/0004-use-queues.md'\n"
    )
    assert (project.root / "README.md").read_text() == (
        "[4. Queues](docs/adr/0004-use-queues.md), ADR-4, ADR-0020\n"
    )


def collision(project: GitProject) -> None:
    """Branches main and theirs both take number 2; each cites its own in code; merged."""
    project.record(1, "one")
    project.write("src/shared.py", "# ADR-0002 of nobody knows which\n")
    project.commit()
    project("checkout", "-q", "-b", "theirs")
    project.record(2, "theirs")
    project.write("src/theirs.py", "# see ADR-0002\n")
    project.commit()
    project("checkout", "-q", "main")
    project.record(2, "ours")
    project.write("src/ours.py", "# see ADR-0002\n")
    project.commit()
    project("merge", "-q", "--no-edit", "theirs")


def test_collision_is_mended_and_only_what_is_certain_is_edited(project: GitProject) -> None:
    collision(project)
    done = renumber(project, "0002-ours.md")
    assert (project.root / "src/ours.py").read_text() == "# see ADR-0003\n"
    assert (project.root / "src/theirs.py").read_text() == "# see ADR-0002\n"
    assert (project.root / "src/shared.py").read_text() == "# ADR-0002 of nobody knows which\n"
    assert [(c.path.name, c.line) for c in done.ambiguous] == [("shared.py", 1)]
    repository = RecordRepository(project.records)
    assert repository.duplicates() == {}
    assert repository.get(3).name == "Ours"


def test_links_name_their_record_even_in_a_collision(project: GitProject) -> None:
    collision(project)
    project.write(
        "docs/notes.md", "[ADR-0002](adr/0002-ours.md) and [ADR-0002](adr/0002-theirs.md)\n"
    )
    project.commit()
    done = renumber(project, "0002-ours.md")
    assert (project.root / "docs/notes.md").read_text() == (
        "[ADR-0003](adr/0003-ours.md) and [ADR-0002](adr/0002-theirs.md)\n"
    )
    assert "notes.md" not in {citation.path.name for citation in done.ambiguous}


def test_line_endings_and_other_bytes_are_kept(project: GitProject) -> None:
    path = project.record(2, "a")
    path.write_bytes(b"\xef\xbb\xbf" + house(2).replace("\n", "\r\n").encode().rstrip())
    project.write("b.txt", "ADR-0002\r\nlast")
    project.commit()
    renumber(project, "2", 8)
    assert (project.records / "0008-a.md").read_bytes() == (
        b"\xef\xbb\xbf" + house(8).replace("\n", "\r\n").encode().rstrip()
    )
    assert (project.root / "b.txt").read_bytes() == b"ADR-0008\r\nlast"


def test_binary_and_ignored_files_are_left_alone(project: GitProject) -> None:
    project.record(2, "a")
    project.write(".gitignore", "build/\n")
    project.write("build/out.txt", "ADR-0002\n")
    (project.root / "x.bin").write_bytes(b"ADR-0002 \xff\xfe")
    project.commit()
    renumber(project, "2")
    assert (project.root / "build/out.txt").read_text() == "ADR-0002\n"
    assert (project.root / "x.bin").read_bytes() == b"ADR-0002 \xff\xfe"


def test_number_that_was_ever_taken_is_refused(project: GitProject) -> None:
    project.record(1, "a")
    path = project.record(5, "b")
    project.commit()
    path.unlink()
    project.commit()
    with pytest.raises(NumberTaken, match="0005"):
        plan(project, "1", 5)


def test_nygard_title_is_renumbered_without_padding(project: GitProject) -> None:
    project.write("docs/adr/0002-b.md", "# 2. Title\n\n## Status\n\nAccepted\n")
    project.commit()
    renumber(project, "2", 12)
    assert Record.read(project.records / "0012-b.md").title_number == 12
    assert (project.records / "0012-b.md").read_text().startswith("# 12. Title\n")


def test_project_without_git_is_mended_from_its_files(tmp_path: Path) -> None:
    records = tmp_path / "docs" / "adr"
    records.mkdir(parents=True)
    (records / "0001-a.md").write_text(house(1))
    (tmp_path / "app.py").write_text("# ADR-0001\n")
    config = load_config(tmp_path)
    repository = RecordRepository.of(config)
    made = plan_renumber(config, repository, NumberLedger(repository, None), repository.get(1))
    apply_plan(config, repository, made)
    assert (tmp_path / "app.py").read_text() == "# ADR-0002\n"
    assert (records / "0002-a.md").read_text() == house(2)


def test_every_spelling_of_the_file_s_name_follows(project: GitProject) -> None:
    """Blanks and letters beyond ASCII are percent-encoded in links, here and there, or in a form
    of Unicode of their own; wikis leave out the ending."""
    spelled = [
        "[a](0002-%C3%BCber%20uns%20(x).md)", "[b](<0002-über uns (x).md>)",
        "[c](0002-über%20uns%20(x).md#why)", "[d](0002-%c3%bcber%20uns%20%28x%29.md)",
        "[e](<0002-u\u0308ber uns (x).md>)", "[[0002-über uns (x)]]", "[[0002-über uns (x)|f]]",
        '<a href="0002-%C3%BCber%20uns%20(x).md">g</a>', "`0002-über uns (x).md`",
    ]  # fmt: skip
    others = ["[n](0002-%C3%BCber%20uns.md)", "[[0002-über uns (x) too]]", "10002-über uns (x).md"]
    project.write("docs/adr/0002-über uns (x).md", house(2))
    cites = project.write("docs/adr/0003-b.md", house(3) + "\n".join([*spelled, *others]) + "\n")
    code = project.write("src/a.py", "A = 'docs/adr/0002-%C3%BCber%20uns%20(x).md'\n")
    project.commit()
    renumber(project, "2", 7)
    wanted = [text.replace("0002", "0007") for text in spelled]
    assert cites.read_text().endswith("\n".join([*wanted, *others]) + "\n")
    assert code.read_text() == "A = 'docs/adr/0007-%C3%BCber%20uns%20(x).md'\n"


def test_links_to_a_record_that_had_no_number_gain_it(project: GitProject) -> None:
    project.write("docs/adr/über.md", house(1).replace("ADR-0001: ", ""))
    cites = project.write("docs/adr/0003-b.md", house(3) + "[a](%C3%BCber.md), [[über]]\n")
    project.commit()
    renumber(project, "über.md", 7)
    assert cites.read_text().endswith("[a](0007-%C3%BCber.md), [[0007-über]]\n")
