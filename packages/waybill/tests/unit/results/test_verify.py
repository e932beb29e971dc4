from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.manifest import (
    Manifest,
    ManifestColumn,
    ManifestGenerator,
    ManifestPart,
    ManifestSnapshot,
)
from waybill.results.verify import VerificationFailed, verify_file

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DATA = b'id,a\r\n1,"x\r\ny"\r\n2,""\r\n'  # 22 bytes, two rows
PART = 8


def manifest_of(data: bytes, *, rows: int, format_name: str = "csv") -> Manifest:
    pieces = [data[start : start + PART] for start in range(0, len(data), PART)] or [b""]
    return Manifest(
        export_id="1",
        export_type="things",
        format=format_name,
        options={},
        columns=(ManifestColumn(name="id", header="id", type="int"),),
        key=(),
        order_by=(),
        snapshot=ManifestSnapshot(id="1:1:", taken_at=NOW),
        rows=rows,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        parts=tuple(
            ManifestPart(
                number=n + 1,
                offset=n * PART,
                bytes=len(piece),
                sha256=hashlib.sha256(piece).hexdigest(),
            )
            for n, piece in enumerate(pieces)
        ),
        media_type="text/csv",
        file_name="things.csv",
        created_at=NOW,
        generator=ManifestGenerator(version="0"),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "things.csv"
    path.write_bytes(DATA)
    return path


def codes(path: Path, manifest: Manifest) -> list[str]:
    return [finding.code for finding in verify_file(path, manifest).findings]


def test_whole_file_passes_and_is_counted(file: Path) -> None:
    seen: list[int] = []

    report = verify_file(file, manifest_of(DATA, rows=2), seen.append)

    report.raise_if_failed()
    assert report.is_whole
    assert (report.rows, report.bytes) == (2, len(DATA))
    assert report.sha256 == hashlib.sha256(DATA).hexdigest()
    assert seen == sorted(seen)
    assert seen[-1] == len(DATA)


@pytest.mark.parametrize("missing", [1, 8, 21, 22])
def test_truncated_file_is_told_by_how_much(file: Path, missing: int) -> None:
    file.write_bytes(DATA[: len(DATA) - missing])

    report = verify_file(file, manifest_of(DATA, rows=2))

    assert [finding.code for finding in report.findings] == ["truncated"]
    assert f"{missing} of {len(DATA)} bytes are missing" in report.findings[0].message
    with pytest.raises(VerificationFailed, match="truncated"):
        report.raise_if_failed()


def test_longer_file_is_told_by_how_much(file: Path) -> None:
    file.write_bytes(DATA + b"more")

    report = verify_file(file, manifest_of(DATA, rows=2))

    assert [finding.code for finding in report.findings] == ["too_long"]
    assert "4 bytes longer" in report.findings[0].message


@given(position=st.integers(0, len(DATA) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found_in_its_part(
    position: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(DATA)
    damaged[position] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / "f"
    path.write_bytes(damaged)

    report = verify_file(path, manifest_of(DATA, rows=2))

    part = position // PART
    assert [finding.code for finding in report.findings] == ["part_differs"]
    last = min((part + 1) * PART, len(DATA)) - 1
    assert f"Part {part + 1} of 3 (bytes {part * PART} to {last})" in report.findings[0].message
    assert report.rows is None


def test_first_of_several_damaged_parts_is_named(file: Path) -> None:
    file.write_bytes(b"?" + DATA[1:-1] + b"?")

    (finding,) = verify_file(file, manifest_of(DATA, rows=2)).findings

    assert "Part 1 of 3 (bytes 0 to 7) and 1 more" in finding.message


def test_wrong_row_count_is_found_though_the_digest_is_right(file: Path) -> None:
    assert codes(file, manifest_of(DATA, rows=3)) == ["rows_differ"]


def test_file_that_is_none_of_its_format_is_told_although_its_digest_is_right(file: Path) -> None:
    report = verify_file(file, manifest_of(DATA, rows=2, format_name="parquet"))

    assert [finding.code for finding in report.findings] == ["unreadable"]


def test_unknown_format_is_proven_by_its_digest_alone(file: Path) -> None:
    report = verify_file(file, manifest_of(DATA, rows=99, format_name="orc"))

    assert report.is_whole
    assert report.rows is None


def test_manifest_whose_parts_and_whole_disagree_is_found(file: Path) -> None:
    manifest = manifest_of(DATA, rows=2).model_copy(update={"sha256": "0" * 64})

    assert codes(file, manifest) == ["manifest_inconsistent"]


def test_empty_file_of_an_empty_export_passes(tmp_path: Path) -> None:
    path = tmp_path / "empty.ndjson"
    path.touch()

    assert verify_file(path, manifest_of(b"", rows=0, format_name="ndjson")).is_whole
