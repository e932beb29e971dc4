from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adrkit.errors import (
    AmbiguousNumber,
    NoRecords,
    NotUtf8,
    RecordNotFound,
    RecordsDirectoryMissing,
)
from adrkit.repository import RecordRepository
from adrkit.testing import house

Write = Callable[..., Path]


@pytest.mark.parametrize(
    "name",
    ["0001-a.md", "1-a.md", "ADR-0001-a.md", "adr_1_a.markdown", "020a-b.md",
     "0012-use-template-engines.md", "sub/0003-c.md"],
)  # fmt: skip
def test_numbered_markdown_files_are_records(write_record: Write, name: str) -> None:
    path = write_record(name, "# T\n")
    directory = path.parents[name.count("/")]
    assert RecordRepository(directory).paths == (path,)


@pytest.mark.parametrize(
    "name",
    ["README.md", "index.md", "template.md", "adr-template.md", "0000-template.md", "_draft.md",
     ".hidden.md", "0001-diagram.png", "notes.md", ".obsidian/0001-a.md", "0001-a.md.bak"],
)  # fmt: skip
def test_other_files_are_no_records(write_record: Write, name: str) -> None:
    path = write_record(name, "# T\n")
    assert RecordRepository(path.parents[name.count("/")]).paths == ()


def test_unnumbered_file_with_a_record_s_title_is_a_record(write_record: Write) -> None:
    path = write_record("my-decision.md", "# ADR-0005: Mine\n")
    repository = RecordRepository(path.parent)
    assert repository.get(5).path == path


def test_excluded_files_are_left_out(write_record: Write) -> None:
    path = write_record("archive/0001-a.md", "# T\n")
    assert RecordRepository(path.parents[1], exclude=["archive/*"]).paths == ()


def test_records_come_in_order_of_number(write_record: Write) -> None:
    for name in ("10-b.md", "9-a.md", "0011-c.md"):
        path = write_record(name, "# T\n")
    assert [r.number for r in RecordRepository(path.parent).list()] == [9, 10, 11]


def test_shared_number_is_reported_and_ambiguous(write_record: Write) -> None:
    write_record("0007-a.md", house(7))
    path = write_record("0007-b.md", house(7))
    repository = RecordRepository(path.parent)
    assert list(repository.duplicates()) == [7]
    with pytest.raises(AmbiguousNumber, match="ADR-0007") as caught:
        repository.get(7)
    assert len(caught.value.paths) == 2
    assert repository.resolve("0007-b.md").path == path


def test_letter_suffixes_tell_records_apart(write_record: Write) -> None:
    write_record("020a-a.md", "# ADR-020a: A\n")
    path = write_record("020b-b.md", "# ADR-020b: B\n")
    assert RecordRepository(path.parent).duplicates() == {}


@pytest.mark.parametrize("reference", ["7", "0007", "ADR-7", "adr-0007", "0007-use-queues.md"])
def test_record_is_found_by_number_and_name(write_record: Write, reference: str) -> None:
    path = write_record("0007-use-queues.md", house(7))
    assert RecordRepository(path.parent).resolve(reference).path == path


def test_missing_record_is_none_for_find_and_an_error_for_get(write_record: Write) -> None:
    repository = RecordRepository(write_record("0001-a.md", house(1)).parent)
    assert repository.find(2) is None
    with pytest.raises(RecordNotFound, match="ADR-0002"):
        repository.get(2)


def test_unreadable_record_is_set_aside_and_named(write_record: Write) -> None:
    write_record("0001-a.md", house(1))
    path = write_record("0002-b.md", b"# Caf\xe9\n")
    repository = RecordRepository(path.parent)
    assert [r.number for r in repository.list()] == [1]
    assert [failed.path for failed in repository.unreadable] == [path]
    with pytest.raises(NotUtf8):
        repository.get(2)


def test_empty_and_missing_directories_are_different_errors(tmp_path: Path) -> None:
    with pytest.raises(NoRecords):
        RecordRepository(tmp_path).require()
    with pytest.raises(RecordsDirectoryMissing):
        RecordRepository(tmp_path / "nowhere").require()


def test_record_that_is_the_page_of_a_numbered_directory_is_said_to_be_left_out(
    write_record: Callable[..., Path],
) -> None:
    text = "# T\n\n**Status:** Accepted\n"
    said = [write_record(f"{name}", text) for name in ("0006-f/README.md", "7/index.md")]
    write_record("README.md", text)
    write_record("net/README.md", text)
    write_record("0008-h/README.md", "# About\n\nPictures.\n")
    write_record("0009-i/README.md", text)
    repository = RecordRepository(said[0].parents[1], exclude=("0009-i/*",))
    assert (repository.paths, repository.passed_over) == ((), tuple(said))
