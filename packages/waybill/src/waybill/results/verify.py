"""Check a downloaded file against its manifest in bounded memory, and say what is wrong.

Sizes and digests prove the file; rows are counted besides where the formats are there. The client's
own distribution is without them, and what they need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from waybill.errors import RequestError, UnreadableFile, WaybillError
from waybill.manifest import Manifest, ManifestPart

if TYPE_CHECKING:
    from waybill.formats import RowCounter

_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: a stable ``code``, and ``message`` with the remedy."""

    code: str
    message: str


class VerificationFailed(WaybillError):
    """A file is not what its manifest says; ``findings`` tell how."""

    code = "verification_failed"

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        super().__init__(" ".join(finding.message for finding in findings))


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """``rows`` is ``None`` when they were not counted: a damaged file, an unknown format, or the
    client alone, which has no formats."""

    bytes: int
    sha256: str
    rows: int | None
    findings: tuple[Finding, ...]

    @property
    def is_whole(self) -> bool:
        return not self.findings

    def raise_if_failed(self) -> None:
        """Raise ``VerificationFailed`` unless the file is what the manifest says."""
        if self.findings:
            raise VerificationFailed(self.findings)


def verify_file(
    path: Path,
    manifest: Manifest,
    on_progress: Callable[[int], None] | None = None,
) -> VerificationReport:
    """Compare size, digests and rows. ``on_progress`` is told the bytes read so far.

    Raises:
        OSError: the file cannot be read.
    """
    findings: list[Finding] = []
    size = path.stat().st_size
    if size < manifest.bytes:
        findings.append(
            Finding(
                "truncated",
                f"The file is truncated: {manifest.bytes - size} of {manifest.bytes} bytes are "
                "missing at its end. Resume the download.",
            )
        )
    elif size > manifest.bytes:
        findings.append(
            Finding(
                "too_long",
                f"The file is {size - manifest.bytes} bytes longer than the {manifest.bytes} of "
                "the manifest. Is it the manifest of this file? Download it again.",
            )
        )
    counter = _row_counter(manifest)
    whole = hashlib.sha256()
    damaged: list[ManifestPart] = []
    done = 0
    with path.open("rb") as file:
        for part in manifest.parts:
            digest = hashlib.sha256()
            left = part.bytes
            while left and (data := file.read(min(left, _READ_BYTES))):
                digest.update(data)
                whole.update(data)
                if counter is not None:
                    counter.feed(data)
                left -= len(data)
                done += len(data)
                if on_progress is not None:
                    on_progress(done)
            # What is missing at the end is told by the size alone.
            if not left and digest.hexdigest() != part.sha256:
                damaged.append(part)
        _feed_rest(file, whole)
    if damaged:
        first = damaged[0]
        others = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        findings.append(
            Finding(
                "part_differs",
                f"Part {first.number} of {len(manifest.parts)} (bytes {first.offset} to "
                f"{first.offset + first.bytes - 1}){others} differ from what was exported. "
                "Download the file again.",
            )
        )
    sha256 = whole.hexdigest()
    if not findings and sha256 != manifest.sha256:
        findings.append(
            Finding(
                "manifest_inconsistent",
                "Every part is right but the whole is not: the manifest contradicts itself. "
                "Fetch it again.",
            )
        )
    rows = None
    if not findings:
        try:
            rows = _count_rows(path, manifest) if counter is None else counter.rows
        except UnreadableFile as exc:
            findings.append(
                Finding(
                    "unreadable",
                    f"{exc} Its digest is what the manifest says. Report this as a defect.",
                )
            )
    if rows is not None and rows != manifest.rows:
        findings.append(
            Finding(
                "rows_differ",
                f"The file holds {rows} rows where the manifest says {manifest.rows}, although "
                "its digest is right. Report this as a defect.",
            )
        )
    return VerificationReport(bytes=size, sha256=sha256, rows=rows, findings=tuple(findings))


def _feed_rest(file: BinaryIO, whole: hashlib._Hash) -> None:
    while data := file.read(_READ_BYTES):
        whole.update(data)


def _row_counter(manifest: Manifest) -> RowCounter | None:
    """Return the format's counter; ``None`` where only the whole file tells, or nothing does."""
    if manifest.compression is not None:
        return None
    try:
        from waybill.formats import get_encoder, read_options

        options = read_options(manifest.format, manifest.options)
        return get_encoder(manifest.format).row_counter(options)
    except (RequestError, ModuleNotFoundError):
        return None


def _count_rows(path: Path, manifest: Manifest) -> int | None:
    """Return the rows of a whole file; ``None`` for what this version cannot read.

    Raises:
        UnreadableFile: it is no file of its format, or its content is of another size.
    """
    try:
        from waybill.formats import get_encoder, read_options
        from waybill.formats.compress import Decompressed, get_codec

        options = read_options(manifest.format, manifest.options)
        encoder = get_encoder(manifest.format)
        if manifest.compression is not None:
            get_codec(manifest.compression)
    except (RequestError, ModuleNotFoundError):
        return None
    if manifest.compression is None:
        with path.open("rb") as file:
            return encoder.count_rows(file, options)
    with Decompressed(path, manifest.compression) as content:
        rows = encoder.count_rows(cast("BinaryIO", content), options)
        if manifest.uncompressed_bytes not in (None, content.bytes_read):
            raise UnreadableFile(
                f"It holds {content.bytes_read} bytes of content where the manifest says "
                f"{manifest.uncompressed_bytes}."
            )
        return rows
