from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from waybill.manifest import (
    InvalidManifest,
    Manifest,
    ManifestPart,
    export_file_name,
    manifest_key,
    manifest_schema,
)

SNAPSHOT = {"id": "7:7:", "taken_at": "2026-05-01T12:00:00+00:00"}
SEGMENT = {"rows": 1, "snapshot": SNAPSHOT}
PART = {"number": 1, "offset": 0, "bytes": 15, "sha256": "0" * 64}


def document(**changes: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(b"").hexdigest()
    return {
        "version": 1,
        "export_id": "11111111-2222-3333-4444-555555555555",
        "export_type": "users",
        "format": "csv",
        "options": {"delimiter": ","},
        "columns": [{"name": "id", "header": "Id", "type": "bigint"}],
        "key": ["id"],
        "order_by": ["id"],
        "snapshot": {"id": "7:7:", "taken_at": "2026-05-01T12:00:00+00:00", "wal_lsn": "0/16B3748"},
        "rows": 2,
        "bytes": 15,
        "sha256": sha256,
        "parts": [
            {"number": 1, "offset": 0, "bytes": 10, "sha256": sha256},
            {"number": 2, "offset": 10, "bytes": 5, "sha256": sha256},
        ],
        "media_type": "text/csv; charset=utf-8",
        "file_name": "users.csv",
        "created_at": "2026-05-01T12:00:00+00:00",
        "generator": {"name": "waybill", "version": "0.1.0"},
        **changes,
    }


def test_manifest_survives_its_json() -> None:
    manifest = Manifest.load(document())

    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.load(manifest.model_dump(mode="json")) == manifest
    assert json.loads(manifest.to_json())["columns"] == [
        {"name": "id", "header": "Id", "type": "bigint", "is_guarded": False}
    ]


def test_field_of_a_later_release_is_ignored() -> None:
    assert Manifest.load(document(something_new={"a": 1})) == Manifest.load(document())


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": 2}, "version"),
        ({"rows": -1}, "rows"),
        ({"sha256": "abc"}, "sha256"),
        ({"version": 0}, "version"),
        ({"parts": []}, "parts"),
        ({"parts": [], "bytes": 0}, "parts"),
        ({"parts": [PART | {"number": 0}]}, "parts.0.number"),
        ({"snapshot": SNAPSHOT | {"lag_seconds": -0.1}}, "snapshot.lag_seconds"),
        # Of several faults the first is told.
        ({"version": 2, "rows": -1}, "version"),
        ({"bytes": 16}, "do not add up"),
        ({"parts": [{"number": 1, "offset": 1, "bytes": 15, "sha256": "0" * 64}]}, "part 1"),
        ({"parts": [{"number": 2, "offset": 0, "bytes": 15, "sha256": "0" * 64}]}, "part 1"),
        ({"segments": [SEGMENT]}, "segments do not add up"),
        ({"segments": [SEGMENT, SEGMENT, SEGMENT]}, "segments do not add up"),
    ],
)
def test_manifest_that_contradicts_itself_is_refused(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidManifest, match=place):
        Manifest.load(document(**change))


def test_version_is_written_by_itself() -> None:
    whole = document(snapshot=SNAPSHOT | {"lag_seconds": 0.0})
    del whole["version"]

    written = json.loads(Manifest.load(whole).to_json())

    assert (written["version"], written["snapshot"]["lag_seconds"]) == (1, 0)


def test_segments_that_add_up_are_accepted() -> None:
    manifest = Manifest.load(document(segments=[SEGMENT, SEGMENT]))

    assert [segment.rows for segment in manifest.segments] == [1, 1]


def test_text_that_is_no_manifest_is_refused_with_a_remedy() -> None:
    for text in ("", "[]", "{}", '{"detail": "not found"}'):
        with pytest.raises(InvalidManifest, match="/api/exports/ID/manifest"):
            Manifest.from_json(text)


def test_schema_describes_what_is_written() -> None:
    schema = json.loads(manifest_schema())

    assert set(json.loads(Manifest.load(document()).to_json())) == set(schema["properties"])
    assert set(schema["$defs"]["ManifestPart"]["properties"]) == set(ManifestPart.model_fields)


def test_names_are_stable() -> None:
    assert manifest_key("a/b") == "a/b.manifest.json"
    assert (
        export_file_name(
            "users",
            "csv",
            created_at=datetime(2026, 5, 1, tzinfo=UTC),
            export_id="1f0c2a9b-0000-0000-0000-000000000000",
        )
        == "users-20260501-1f0c2a9b.csv"
    )
