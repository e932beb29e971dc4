"""Where files are written to: every right an export needs, tried one by one with a small object
that is gone afterwards."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import uuid4

import httpx
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError, SSLError

from waybill.doctor import bucket_rules
from waybill.doctor.findings import Finding, Patient, Report
from waybill.errors import ConfigurationError, RunError, StorageUnavailable
from waybill.storage.base import PartReceipt
from waybill.storage.directory.storage import DirectoryStorage
from waybill.storage.registry import create_storages
from waybill.storage.s3.client import S3Client
from waybill.storage.s3.errors import VERSIONS_STAY, code_of, translated
from waybill.storage.s3.storage import S3Storage

AREA: Final = "storage"
_FOLDER: Final = "waybill-doctor"
_SMALL: Final = b"waybill doctor\n"
_SPARE_BYTES: Final = 1024**3
_LINK_SECONDS: Final = 60

_report = Report(AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Look at each storage the settings use, but the database, which has an area of its own."""
    try:
        storages = create_storages(patient.settings)
    except ConfigurationError as exc:
        yield _report.error("settings", str(exc), "Correct WAYBILL_STORAGE.")
        return
    for name in dict.fromkeys((patient.settings.storage, *patient.settings.former_storages)):
        storage = storages[name]
        if isinstance(storage, S3Storage):
            yield from _S3Examination(storage, patient).run()
        elif isinstance(storage, DirectoryStorage):
            yield from _directory(storage)


# -- a directory --------------------------------------------------------------------------------


def _directory(storage: DirectoryStorage) -> Iterator[Finding]:
    key = f"{_FOLDER}/{uuid4()}"
    try:
        storage.check()
        storage.put(key, _SMALL, content_type="text/plain")
        storage.delete(key)
    except (RunError, ConfigurationError) as exc:
        tell = _report.away if isinstance(exc, StorageUnavailable) else _report.error
        yield tell("directory", str(exc), "Correct WAYBILL_STORAGE_DIRECTORY, or its rights.")
        return
    yield _report.ok("directory", "The directory takes files and gives them up.")
    free = shutil.disk_usage(storage.options.root).free
    if free < _SPARE_BYTES:
        yield _report.warning(
            "space",
            f"Its disk has {free // 1024**2} MiB left.",
            "Make room, or expire files sooner.",
        )
    else:
        yield _report.ok("space", "Its disk has room.")


def _code_behind(exc: RunError) -> str:
    """Return what S3 called its refusal; nothing where something else answered than S3."""
    answer = getattr(exc.__cause__, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))


# -- S3 -----------------------------------------------------------------------------------------


class _S3Examination:
    """Tries each operation of an export on a bucket, in its order; what depends on one that was
    refused is left out."""

    def __init__(self, storage: S3Storage, patient: Patient) -> None:
        self._storage = storage
        self._client: S3Client = storage.client
        self._settings = patient.settings
        # Below the prefix that sweeps look at, so that what a broken-off look leaves is swept.
        self._key = f"{patient.settings.s3_prefix.strip('/')}/{_FOLDER}/{uuid4()}".lstrip("/")

    def run(self) -> Iterator[Finding]:
        reached = list(self._reach())
        yield from reached
        if any(finding.remedy for finding in reached if finding.check.endswith("bucket")):
            return
        yield from self._whole_object()
        yield from self._parts()
        yield from self._listings()
        yield from self._bucket_rules()

    def _try(
        self, what: str, does: str, call: Callable[[], Any], right: str, *, optional: bool = False
    ) -> tuple[Finding, Any]:
        """Return the finding on one operation, and its answer (``None`` if it was refused)."""
        try:
            with translated(does):
                return _report.ok(what, f"The storage lets us {does}."), call()
        except RunError as exc:
            remedy = f"Allow the credentials {right}."
            code = _code_behind(exc)
            if isinstance(exc, StorageUnavailable):
                return _report.away(what, str(exc), "Look at the storage and the way there."), None
            if code not in {"AccessDenied", "403"} or str(exc) == VERSIONS_STAY:
                return _report.error(what, str(exc), ""), None
            tell = _report.warning if optional else _report.error
            return tell(what, f"The storage does not let us {does}.", remedy), None

    def _reach(self) -> Iterator[Finding]:
        try:
            with translated("look at the bucket"):
                self._client.boto3.head_bucket(Bucket=self._client.bucket)
        except ParamValidationError:
            yield _report.error(
                "bucket", "WAYBILL_S3_BUCKET is no name that a bucket can have.",
                "Correct it: 3 to 63 small letters, digits, dots and dashes.",
            )  # fmt: skip
            return
        except RunError as exc:
            code = _code_behind(exc)
            if code == "403":
                return  # takes the right to list; what matters is tried below, one by one
            if isinstance(exc.__cause__, SSLError):
                yield _report.error(
                    "bucket",
                    "No TLS with the storage comes about: nothing speaks it at that port, or its "
                    "certificate is not trusted, has expired or is of another name.",
                    "Correct https:// and the name in WAYBILL_S3_ENDPOINT_URL; AWS_CA_BUNDLE names "
                    "an authority of your own.",
                )  # fmt: skip
                return
            tell = _report.away if isinstance(exc, StorageUnavailable) else _report.error
            yield tell("bucket", str(exc), "Correct WAYBILL_S3_…, or look at the storage.")
            return
        yield _report.ok("bucket", f"The bucket {self._client.bucket!r} is there.")
        yield from _clock(self._client.clock.offset)

    def _whole_object(self) -> Iterator[Finding]:
        finding, stored = self._try("put", "store an object", self._put, "s3:PutObject")
        yield finding
        if stored is None:
            return
        finding, _ = self._try(
            "head", "look for an object", partial(self._client.find, self._key),
            "s3:GetObject",
        )  # fmt: skip
        yield finding
        finding, body = self._try(
            "get", "read an object",
            self._read, "s3:GetObject",
        )  # fmt: skip
        yield finding
        if body is not None and body != _SMALL:
            yield _report.error(
                "bytes", "The storage gave other bytes back than it was given.", "Look at it."
            )
        yield from self._link()
        finding, _ = self._try(
            "delete", "delete an object", partial(self._client.delete, self._key),
            "s3:DeleteObject",
        )  # fmt: skip
        yield finding

    def _read(self) -> bytes:
        body: bytes = self._client.call("get_object", self._key)["Body"].read()
        return body

    def _put(self) -> Any:
        checksum = base64.b64encode(hashlib.sha256(_SMALL).digest()).decode()
        return self._client.put(self._key, _SMALL, checksum, "text/plain", is_new=True)

    def _link(self) -> Iterator[Finding]:
        """Follow a link as a client would, from here."""
        if self._settings.download == "stream":
            return
        link = self._storage.presign(
            self._key, expires_seconds=_LINK_SECONDS, filename="doctor", content_type="text/plain"
        )
        variable = "WAYBILL_S3_PUBLIC_ENDPOINT_URL"
        try:
            answer = httpx.get(link or "", timeout=10, follow_redirects=False)
        except (httpx.HTTPError, OSError) as exc:
            yield _report.error(
                "link", f"A download link cannot be followed from here ({type(exc).__name__}).",
                f"Correct {variable}: it is where clients reach the storage.",
            )  # fmt: skip
            return
        if answer.status_code != httpx.codes.OK or answer.content != _SMALL:
            yield _report.error(
                "link", f"A download link is answered with {answer.status_code}.",
                f"Check {variable}, WAYBILL_S3_REGION and this machine's clock.",
            )  # fmt: skip
        else:
            yield _report.ok("link", "A download link leads to its file.")

    def _parts(self) -> Iterator[Finding]:
        key = f"{self._key}-parts"
        finding, upload_id = self._try(
            "multipart", "begin an upload in parts",
            lambda: self._client.begin_upload(key, "text/plain"), "s3:PutObject",
        )  # fmt: skip
        yield finding
        if upload_id is None:
            return
        yield from self._checksums(key, upload_id)
        yield from self._whole_upload(f"{key}-whole")
        finding, _ = self._try(
            "abort", "abort an upload", partial(self._client.abort_upload, key, upload_id),
            "s3:AbortMultipartUpload",
        )  # fmt: skip
        yield finding

    def _whole_upload(self, key: str) -> Iterator[Finding]:
        """Carry an upload to its end, as each export does that is larger than a part."""
        digest = hashlib.sha256(_SMALL)

        def complete() -> dict[str, Any]:
            upload_id = self._client.begin_upload(key, "text/plain")
            try:
                part = self._client.store_part(
                    key, upload_id, 1, _SMALL, base64.b64encode(digest.digest()).decode()
                )
                receipt = PartReceipt(
                    1, len(_SMALL), digest.hexdigest(), part.get("ETag", "").strip('"')
                )
                return self._client.join_parts(key, upload_id, [receipt])
            except (ClientError, BotoCoreError):
                with suppress(RunError):
                    self._client.abort_upload(key, upload_id)
                raise

        finding, answer = self._try("complete", "complete an upload", complete, "s3:PutObject")
        yield finding
        if answer is not None:
            with suppress(RunError):  # whether that is allowed was tried above
                self._client.delete(key)

    def _checksums(self, key: str, upload_id: str) -> Iterator[Finding]:
        good = base64.b64encode(hashlib.sha256(_SMALL).digest()).decode()
        finding, answer = self._try(
            "part", "store a part",
            partial(self._client.store_part, key, upload_id, 1, _SMALL, good),
            "s3:PutObject",
        )  # fmt: skip
        yield finding
        if answer is None:
            return
        wrong = base64.b64encode(hashlib.sha256(os.urandom(8)).digest()).decode()
        try:
            self._client.store_part(key, upload_id, 2, _SMALL, wrong)
        except ClientError as exc:
            if code_of(exc) != "AccessDenied":
                yield _report.ok("checksums", "The storage refuses bytes that changed on the way.")
        except BotoCoreError:
            return
        else:
            yield _report.note(
                "checksums",
                "The storage does not compare bytes with their SHA-256 (x-amz-checksum-sha256); "
                "the ETag of the whole file is compared all the same.",
            )  # fmt: skip

    def _listings(self) -> Iterator[Finding]:
        prefix = f"{self._settings.s3_prefix.strip('/')}/{_FOLDER}/"
        finding, _ = self._try(
            "list", "list objects (to find what no export refers to)",
            lambda: self._client.boto3.list_objects_v2(
                Bucket=self._client.bucket, Prefix=self._client.prefix + prefix, MaxKeys=1
            ),
            "s3:ListBucket",
            optional=True,
        )  # fmt: skip
        yield finding
        finding, _ = self._try(
            "uploads", "list unfinished uploads (to abort what nobody finishes)",
            lambda: self._client.boto3.list_multipart_uploads(
                Bucket=self._client.bucket, Prefix=self._client.prefix + prefix, MaxUploads=1
            ),
            "s3:ListBucketMultipartUploads",
            optional=True,
        )  # fmt: skip
        yield finding

    def _bucket_rules(self) -> Iterator[Finding]:
        bucket = self._client.bucket
        prefix = self._client.prefix + self._settings.s3_prefix.strip("/")
        yield from bucket_rules.examine(
            _report, self._client.boto3, bucket, prefix, self._settings.result_ttl_days
        )


def _clock(offset: timedelta) -> Iterator[Finding]:
    apart = abs(offset).total_seconds()
    if apart:
        yield _report.error(
            "clock",
            f"The storage's clock and this machine's are {apart:.0f} s apart: "
            "requests and links are dated by the storage's until somebody sets one.",
            "Keep both by NTP.",
        )  # fmt: skip
    else:
        yield _report.ok("clock", "The storage's clock and this machine's agree.")
