"""One object on its way into S3, proven: as a multipart upload, or in one request if it is small.

Parts but the last are at least 5 MiB (S3's own rule), so a first part below that is the whole
object unless another part follows. It is kept until ``complete`` says that none did, and then put
in one request instead of four (begin, part, complete, look): for 1,000 rows those were most of
the time. Nothing is visible before ``complete`` either way, and nothing is left open to sweep.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from waybill.errors import RunError, StorageCorrupted, StorageUnavailable
from waybill.storage.base import PartReceipt, StoredObject
from waybill.storage.s3.answers import (
    as_base64,
    check_echo,
    etag_of,
    is_digest_of_parts,
    is_encrypted_by_key,
)
from waybill.storage.s3.client import S3Client
from waybill.storage.s3.errors import status_of, translate, translated

_SENDINGS = 3
_READ_BYTES = 1024 * 1024
_SMALLEST_PART_BYTES = 5 * 1024 * 1024
_MD5_ETAG = re.compile(r"[0-9a-f]{32}")


class S3Upload:
    """An upload under way; see ``storage.base.Upload``. Safe for threads.

    ``is_shared``: a later attempt may resume it. Then nothing is aborted or deleted here, as
    this process may be the one that is no longer asked; the sweep clears away what nobody needs.
    ``is_continued``: parts were written elsewhere, of which only their ETags are known.
    """

    def __init__(self, client: S3Client, key: str, content_type: str) -> None:
        self._client = client
        self._content_type = content_type
        self._lock = threading.Lock()
        self._held: tuple[bytes, str] | None = None
        self._first: PartReceipt | None = None
        self._has_md5_etags = True
        self._is_unproven = False  # whether storage said nothing of what it received
        self.key = key
        self.upload_id = ""
        self.is_complete = False
        self.is_shared = False
        self.is_continued = False

    def write_part(self, number: int, data: bytes | bytearray, sha256: str) -> PartReceipt:
        with self._lock:
            if number == 1 and len(data) < _SMALLEST_PART_BYTES and not self.upload_id:
                # A copy: the caller fills its buffer again.
                self._held = (bytes(data), sha256)
                return PartReceipt(1, len(data), sha256, etag="")  # storage has not seen it
            held, self._held = self._held, None
            if not self.upload_id:
                self.upload_id = self._client.begin_upload(self.key, self._content_type)
        if held is not None:
            self._first = self._send(1, *held)
        return self._send(number, data, sha256)

    def complete(self, parts: list[PartReceipt]) -> StoredObject:
        if self._held is not None:
            stored = self._put(*self._held)
        elif self._first is not None:
            stored = self._join([self._first, *parts[1:]])
        else:
            stored = self._join(parts)
        self.is_complete = True
        return stored

    def share(self) -> None:
        self.is_shared = True

    def abort(self) -> None:
        if self.upload_id and not self.is_complete and not self.is_shared:
            self._client.abort_upload(self.key, self.upload_id)

    # -- an object in one request ---------------------------------------------------------------

    def _put(self, data: bytes, sha256: str) -> StoredObject:
        checksum = as_base64(sha256)
        for sending in range(1, _SENDINGS + 1):
            try:
                answer = self._client.put(self.key, data, checksum, self._content_type, is_new=True)
                etag = etag_of(answer)
            except (ClientError, BotoCoreError, StorageUnavailable) as exc:
                md5 = _md5(data)
                try:
                    # It may have been done all the same, as with a commit of parts.
                    return self._find_committed(exc, [PartReceipt(1, len(data), sha256, md5)], md5)
                except StorageCorrupted:
                    # Damaged on the way and refused, so it is sent again, but not for ever.
                    if sending == _SENDINGS:
                        raise
                    continue
            break
        try:
            if self._is_proven_by(answer, data, checksum):
                return StoredObject(self.key, len(data), etag)
        except StorageCorrupted:
            self._client.delete(self.key)
            raise
        self._is_unproven = True
        return self._find_whole([PartReceipt(1, len(data), sha256, etag)], {etag})

    # -- an object in parts ---------------------------------------------------------------------

    def _send(self, number: int, data: bytes | bytearray, sha256: str) -> PartReceipt:
        checksum = as_base64(sha256)
        for sending in range(1, _SENDINGS + 1):
            try:
                with translated(f"store part {number}"):
                    answer = self._client.store_part(
                        self.key, self.upload_id, number, data, checksum
                    )
                is_proven = self._is_proven_by(answer, data, checksum)
            except StorageCorrupted:
                # Damaged on the way, so it is sent again, but not for ever.
                if sending == _SENDINGS:
                    raise
            else:
                # Damaged too, or a store whose ETags are something else: the committed bytes tell.
                if is_proven or sending == _SENDINGS or not self._has_md5_etags:
                    if not is_proven:
                        self._is_unproven, self._has_md5_etags = True, False
                    return PartReceipt(number, len(data), sha256, etag_of(answer))
        raise AssertionError("unreachable")

    def _join(self, parts: list[PartReceipt]) -> StoredObject:
        expected_etag = self._etag_of_parts(parts)
        try:
            answer = self._client.join_parts(self.key, self.upload_id, parts)
            # A 200 may hold an error: botocore turns one it understands into an exception, and
            # what it does not understand has no ETag.
            answered = etag_of(answer)
        except (ClientError, BotoCoreError, StorageUnavailable) as exc:
            # It may have been done all the same: the answer got lost, and a repetition by
            # botocore was then refused (NoSuchUpload, PreconditionFailed). The object tells.
            return self._find_committed(exc, parts, expected_etag)
        if is_digest_of_parts(answer, [part.sha256 for part in parts]):
            expected_etag = answered
        return self._find_whole(parts, {answered, expected_etag or answered})

    def _etag_of_parts(self, parts: list[PartReceipt]) -> str | None:
        if self.is_continued or not self._has_md5_etags:
            return None
        if not all(_MD5_ETAG.fullmatch(part.etag) for part in parts):
            return None
        digests = b"".join(binascii.unhexlify(part.etag) for part in parts)
        return f"{_md5(digests)}-{len(parts)}"

    # -- proof ----------------------------------------------------------------------------------

    def _is_proven_by(self, answer: dict[str, Any], data: bytes | bytearray, checksum: str) -> bool:
        """Return whether the answer proves what was received; raise if it proves another thing."""
        if is_encrypted_by_key(answer):
            self._has_md5_etags = False  # then an ETag is a number without meaning
        if check_echo(answer, checksum):
            return True
        # A server that ignores checksums: its ETag is the only word on what it received, and one
        # that is no MD5 of it is no word against it either. Stores exist whose ETags look like one.
        if not self._has_md5_etags or not _MD5_ETAG.fullmatch(etag_of(answer)):
            self._has_md5_etags = False
            return False
        return _md5(data) == etag_of(answer)

    def _find_whole(self, parts: list[PartReceipt], etags: set[str]) -> StoredObject:
        """Return the committed object as S3 describes it, or delete it if it is another.

        Where its ETag is not the one to expect, or none of storage's answers was a proof, it is
        read back, part by part: stores exist whose ETags are no MD5s.
        """
        expected_bytes = sum(part.bytes for part in parts)
        found = self._client.find(self.key)
        if found is None:
            raise StorageCorrupted("S3 reported a commit, but the object is not there.")
        if found.bytes == expected_bytes and (
            (not self._is_unproven and etags == {found.etag}) or self._reads_back(parts)
        ):
            return found
        if not self.is_shared:
            self._client.delete(self.key)
        raise StorageCorrupted(
            f"S3 committed {found.bytes} bytes with ETag {found.etag} where {expected_bytes} "
            f"bytes with ETag {' or '.join(sorted(etags))} were sent, and what it holds is not "
            "what was sent."
        )

    def _reads_back(self, parts: list[PartReceipt]) -> bool:
        """Return whether the object holds the bytes that were sent."""
        with translated("read back what was committed"):
            body = self._client.call("get_object", self.key)["Body"]
            with body:
                return all(_sha256_of(body, part.bytes) == part.sha256 for part in parts)

    def _find_committed(
        self, error: Exception, parts: list[PartReceipt], etag: str | None
    ) -> StoredObject:
        """Return the object if it was committed although ``error`` says it was not."""
        is_refusal = isinstance(error, ClientError) and status_of(error) == 403
        failure = error if isinstance(error, RunError) else translate(error, "commit the upload")
        try:
            found = None if is_refusal else self._client.find(self.key)
        except RunError:
            # Without the right to list, S3 answers 403 for what is not there: it does not tell, and
            # the first error says more.
            raise failure from error
        if found is None or found.bytes != sum(part.bytes for part in parts):
            raise failure from error
        # An ETag that is a proof says all; where it is none, what stands there says it.
        if (found.etag == etag and not self._is_unproven) or self._reads_back(parts):
            return found
        raise failure from error


def _sha256_of(body: Any, size: int) -> str:
    """Read ``size`` bytes and return their digest in hex."""
    digest = hashlib.sha256()
    while size and (chunk := body.read(min(size, _READ_BYTES))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def _md5(data: bytes | bytearray) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@contextmanager
def begin_upload(client: S3Client, key: str, content_type: str) -> Iterator[S3Upload]:
    """Begin an upload; leaving the block by an exception, or without ``complete``, aborts it."""
    upload = S3Upload(client, key, content_type)
    try:
        yield upload
        if not upload.is_complete:
            upload.abort()
    except BaseException:
        # The first failure is the one to report; what could not be aborted is swept later.
        with suppress(RunError):
            upload.abort()
        raise
