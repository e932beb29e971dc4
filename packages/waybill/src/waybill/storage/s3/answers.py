"""What S3's answers say: checksums, encryption, ETags, lengths and ranges."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from waybill.errors import StorageCorrupted, StorageRejected, StorageUnavailable


def as_base64(sha256_hex: str) -> str:
    """Return a digest as S3's headers spell it."""
    return base64.b64encode(bytes.fromhex(sha256_hex)).decode()


def check_echo(answer: dict[str, Any], checksum: str) -> bool:
    """Return whether S3 named the checksum it computed; raise if it is another."""
    echoed = answer.get("ChecksumSHA256")
    if echoed is not None and echoed != checksum:
        raise StorageCorrupted("S3 computed another SHA-256 than that of the bytes sent.")
    return echoed is not None


def is_digest_of_parts(answer: dict[str, Any], parts_sha256: list[str]) -> bool:
    """Return whether S3 names the checksum of the parts' checksums (its "composite" one), which
    says that exactly these parts were joined in this order."""
    composite, _, _ = str(answer.get("ChecksumSHA256") or "").partition("-")
    if not composite or answer.get("ChecksumType", "COMPOSITE") != "COMPOSITE":
        return False
    digests = b"".join(bytes.fromhex(each) for each in parts_sha256)
    return composite == as_base64(hashlib.sha256(digests).hexdigest())


def is_encrypted_by_key(answer: dict[str, Any]) -> bool:
    """Return whether ETags of the bucket are no MD5s."""
    return bool(
        str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
        or answer.get("SSECustomerAlgorithm")
    )


def etag_of(answer: dict[str, Any]) -> str:
    """Return an answer's ETag without its quotes; raise if there is none."""
    etag = answer.get("ETag")
    if not etag:
        raise StorageUnavailable("S3 answered without an ETag: what it did is not known.")
    return str(etag).strip('"')


def size_of(answer: dict[str, Any]) -> int:
    """Return an object's length in bytes; raise if the answer does not say it."""
    if "ContentLength" not in answer:
        raise StorageRejected(
            "S3 answered without Content-Length, by which objects are compared. A proxy before the "
            "storage takes it away: let it pass the answers on as they are."
        )
    return int(answer["ContentLength"])


def first_byte(content_range: str | None, *, asked: int) -> int:
    """Return where the bytes of an answer begin in the object: at 0 where it comes whole.

    Args:
        content_range: the answer's ``Content-Range``; s3rver asked for ``bytes=0-0`` sends more.
        asked: where they should begin.

    Raises:
        StorageCorrupted: they begin later, or the answer doesn't say where.
    """
    if content_range is None:
        return 0
    said = re.match(r"bytes (\d{1,18})-", content_range)
    if said is None or int(said[1]) > asked:
        raise StorageCorrupted("S3 answered with another range than was asked for.")
    return int(said[1])


def cut(chunks: Iterator[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    """Yield of a whole object's ``chunks`` the bytes from ``start`` to before ``stop``."""
    at = 0
    for chunk in chunks:
        wanted = chunk[max(0, start - at) : None if stop is None else stop - at]
        if wanted:
            yield wanted
        at += len(chunk)
        if stop is not None and at >= stop:
            return
