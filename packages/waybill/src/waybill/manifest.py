"""The manifest: what is in a file, from which snapshot, and the digests that prove it whole.

It stands beside the object as ``<key>.manifest.json`` and in the job's row. It holds no data of
the rows, so it can be shown, mailed and kept after the file is gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from waybill.errors import WaybillError
from waybill.storage.disposition import content_disposition

MANIFEST_VERSION: Literal[1] = 1

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class InvalidManifest(WaybillError):
    """A file given as a manifest is none, or not of a version this waybill reads."""

    code = "invalid_manifest"


class _Part(BaseModel):
    # Readers ignore what a later minor addition brings, so old tools verify new files.
    model_config = ConfigDict(frozen=True, extra="ignore")


class ManifestColumn(_Part):
    """A column: ``name`` in the source, ``header`` in the file, ``type`` as PostgreSQL names it;
    ``is_guarded`` where its cells may carry the formula guard's apostrophe."""

    name: str
    header: str
    type: str
    is_guarded: bool = False


class ManifestSnapshot(_Part):
    """``id`` is ``pg_current_snapshot()`` (empty where the server does not tell); every row of the
    file was visible to it. Read from a standby, ``taken_at`` is the primary's time up to which it
    had replayed for certain, and ``lag_seconds`` how long before the reading that was.

    Resumable exports also state which server it was taken on: PostgreSQL's ``system_identifier``
    and ``timeline``, and when that server was started. A file's segments are all of one.
    """

    id: str
    taken_at: datetime
    wal_lsn: str | None = None
    server_version: str | None = None
    system_identifier: str | None = None
    timeline: int | None = None
    server_started_at: datetime | None = None
    lag_seconds: Annotated[float, Field(ge=0)] | None = None


class ManifestPart(_Part):
    """Bytes ``offset`` to ``offset + bytes`` of the file."""

    number: Annotated[int, Field(ge=1)]
    offset: Count
    bytes: Count
    sha256: Sha256


class ManifestSegment(_Part):
    """A run of rows read from one snapshot, where an export was resumed in another.

    It holds the rows whose key is greater than ``after_key`` (``None``: from the first) and not
    greater than ``last_key`` (``None``: to the last), as that snapshot had them. Keys are in the
    order of ``Manifest.key``, as PostgreSQL's text; both are ``None`` where a key column holds
    personal data by the catalog, or is none of the columns that the type declares.
    """

    rows: Count
    snapshot: ManifestSnapshot
    after_key: tuple[str, ...] | None = None
    last_key: tuple[str, ...] | None = None


class ManifestGenerator(_Part):
    name: str = "waybill"
    version: str


class Manifest(_Part):
    """Version 1. ``bytes``, ``sha256`` and the parts are of the file as it is stored, compressed or
    not; ``uncompressed_bytes`` is the size of a compressed file's content. ``key`` are the columns
    that identify a row and ``order_by`` those the file is ordered by (empty: PostgreSQL's own
    order). ``segments`` is empty when all rows are of one ``snapshot``; otherwise that is the first
    segment's, so that whoever wants what changed since then misses nothing."""

    version: Literal[1] = MANIFEST_VERSION
    export_id: str
    export_type: str
    format: str
    options: dict[str, Any]
    columns: tuple[ManifestColumn, ...]
    key: tuple[str, ...]
    order_by: tuple[str, ...]
    snapshot: ManifestSnapshot
    segments: tuple[ManifestSegment, ...] = ()
    rows: Count
    bytes: Count
    sha256: Sha256
    parts: Annotated[tuple[ManifestPart, ...], Field(min_length=1)]
    media_type: str
    file_name: str
    compression: str | None = None
    uncompressed_bytes: Count | None = None
    formula_guard: str | None = None
    created_at: datetime
    generator: ManifestGenerator

    @model_validator(mode="after")
    def _check_parts(self) -> Manifest:
        offset = 0
        for number, part in enumerate(self.parts, start=1):
            if part.number != number or part.offset != offset:
                raise ValueError(f"part {number} does not follow the one before it")
            offset += part.bytes
        if offset != self.bytes:
            raise ValueError("the parts do not add up to the file's bytes")
        if self.segments and sum(segment.rows for segment in self.segments) != self.rows:
            raise ValueError("the segments do not add up to the file's rows")
        return self

    def to_json(self) -> str:
        """Return the JSON document that is stored beside the object."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, document: str) -> Manifest:
        """Read the stored JSON document; raises ``InvalidManifest`` as ``load`` does."""
        try:
            return cls.model_validate_json(document)
        except ValidationError as exc:
            raise _invalid(exc) from exc

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Manifest:
        """Read a decoded JSON document.

        Raises:
            InvalidManifest: it is no manifest, contradicts itself, or is of another version.
        """
        # By way of JSON, because there a list is a tuple and a text may be a time.
        return cls.from_json(json.dumps(document))


def _invalid(error: ValidationError) -> InvalidManifest:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"]) or "the document"
    return InvalidManifest(
        f"This is no waybill manifest of version {MANIFEST_VERSION}: {place}: {first['msg']}. "
        "Fetch it again from /api/exports/ID/manifest."
    )


def manifest_key(object_key: str) -> str:
    """Return where an object's manifest is stored."""
    return f"{object_key}.manifest.json"


def manifest_schema() -> str:
    """Return the JSON Schema of the manifest, for tools in other languages."""
    return json.dumps(Manifest.model_json_schema(mode="serialization"), indent=2) + "\n"


def export_file_name(
    export_type: str, extension: str, *, created_at: datetime, export_id: object
) -> str:
    """Return the name a file is downloaded by, like ``users-20260501-1f0c2a9b.csv``."""
    short_id = str(export_id).replace("-", "")[:8]
    return f"{export_type}-{created_at:%Y%m%d}-{short_id}.{extension}"


__all__ = [
    "MANIFEST_VERSION",
    "InvalidManifest",
    "Manifest",
    "ManifestColumn",
    "ManifestGenerator",
    "ManifestPart",
    "ManifestSegment",
    "ManifestSnapshot",
    "content_disposition",
    "export_file_name",
    "manifest_key",
    "manifest_schema",
]
