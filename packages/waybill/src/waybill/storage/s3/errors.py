"""What S3's failures mean for a run. Codes after the S3 API reference, "Error responses"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.exceptions as vendor
from urllib3.exceptions import HTTPError

from waybill.errors import RunError, StorageCorrupted, StorageRejected, StorageUnavailable

CORRUPTION_CODES = frozenset(
    {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
)
MISSING_CODES = frozenset({"404", "NoSuchKey", "NotFound"})
_PASSING_CODES = frozenset(
    {
        # The attempt's upload is gone (swept, or lifecycle rule): another attempt makes its own.
        "NoSuchUpload",
        # Another process wrote to the same upload: the next attempt finds that out and begins anew.
        "InvalidPart",
        "PreconditionFailed",
        "IncompleteBody",
        "OperationAborted",
        "ConditionalRequestConflict",
        "RequestTimeout",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# What stores answer to headers and arguments that they do not know.
_UNKNOWN_CODES = frozenset(
    {"NotImplemented", "InvalidRequest", "InvalidArgument", "UnsupportedArgument", "MalformedXML"}
)
VERSIONS_STAY = (
    "The bucket keeps versions, and these credentials may not delete them: what was deleted can "
    "still be read by whoever may read versions. Allow s3:ListBucketVersions and "
    "s3:DeleteObjectVersion, or use a bucket without versions."
)
# How a store says that the bucket is in another region; "301" is what a HEAD has for it.
_ELSEWHERE_CODES = frozenset(
    {"301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
     "IncorrectEndpoint", "PermanentRedirect"}
)  # fmt: skip
_REMEDIES = {
    "AccessDenied": "Allow the credentials s3:PutObject, GetObject, DeleteObject, ListBucket, "
    "AbortMultipartUpload and ListBucketMultipartUploads.",
    "InvalidAccessKeyId": "Check WAYBILL_S3_ACCESS_KEY_ID.",
    "SignatureDoesNotMatch": "Check WAYBILL_S3_SECRET_ACCESS_KEY and WAYBILL_S3_REGION.",
    "NoSuchBucket": "Create the bucket, or correct WAYBILL_S3_BUCKET.",
    "403": "Check the credentials and their right to the bucket.",
    "404": "Create the bucket, or correct WAYBILL_S3_BUCKET.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "QuotaExceeded": "Make room in object storage.",
}


def code_of(error: vendor.ClientError) -> str:
    """Return the error code of an answer, or its HTTP status where there is none (HEAD)."""
    details: dict[str, Any] = error.response.get("Error", {})
    return str(details.get("Code", "unknown"))


def status_of(error: vendor.ClientError) -> int:
    metadata: dict[str, Any] = error.response.get("ResponseMetadata", {})
    return int(metadata.get("HTTPStatusCode", 0))


def _region_of(error: vendor.ClientError) -> str:
    """Return the region that an answer names as the bucket's own."""
    headers: dict[str, str] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    details: dict[str, Any] = error.response.get("Error", {})
    named = str(headers.get("x-amz-bucket-region") or details.get("Region") or "")
    return f"region {named}" if re.fullmatch(r"[a-z0-9-]{1,40}", named) else "another region"


def is_unknown(error: vendor.ClientError) -> bool:
    """Return whether a store may have refused a request for something it does not know."""
    return status_of(error) == 501 or (status_of(error) == 400 and code_of(error) in _UNKNOWN_CODES)


def translate(error: Exception, action: str) -> RunError:
    """Return what ``error`` means; ``action`` says what was being done ("store part 3")."""
    if not isinstance(error, vendor.ClientError):
        if isinstance(
            error,
            vendor.NoCredentialsError | vendor.PartialCredentialsError | vendor.ProfileNotFound,
        ):
            return StorageRejected(
                f"There are no S3 credentials to {action} with. Set WAYBILL_S3_ACCESS_KEY_ID and "
                "WAYBILL_S3_SECRET_ACCESS_KEY, or give the machine a role."
            )
        return StorageUnavailable(
            f"S3 did not answer while trying to {action} ({type(error).__name__}). It is tried "
            "again; if it persists, check the endpoint and the network."
        )
    code, status = code_of(error), status_of(error)
    if code in CORRUPTION_CODES:
        return StorageCorrupted(f"S3 received other bytes than were sent ({code}: {action}).")
    if status >= 500 or code in _PASSING_CODES:
        return StorageUnavailable(f"S3 could not {action} at the moment ({code}).")
    if code in _ELSEWHERE_CODES:
        return StorageRejected(
            f"S3 refused to {action} ({code}): the bucket is in {_region_of(error)}. "
            "Correct WAYBILL_S3_REGION, or WAYBILL_S3_ENDPOINT_URL where it is set."
        )
    remedy = _REMEDIES.get(code, "See the storage's own log.")
    return StorageRejected(f"S3 refused to {action} ({code}). {remedy}")


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise this package's errors for the vendor's inside the block."""
    try:
        yield
    except vendor.ParamValidationError:
        raise  # a defect of ours, not of the storage
    except (vendor.ClientError, vendor.BotoCoreError, vendor.HTTPClientError, HTTPError) as exc:
        raise translate(exc, action) from exc
