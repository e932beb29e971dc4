"""What a bucket does with objects by itself: keeps versions, locks them, deletes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from waybill.doctor.findings import Finding, Report
from waybill.storage.s3.errors import code_of

Rule = Mapping[str, Any]


def examine(
    report: Report, boto3: Any, bucket: str, prefix: str, ttl_days: float
) -> Iterator[Finding]:
    """Look at the rules, where we may: few credentials of services may read them."""
    with suppress(ClientError, BotoCoreError):
        if boto3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled":
            yield report.note(
                "versioning",
                "The bucket keeps old versions. waybill deletes those of its files with them, "
                "where it may; a lifecycle rule that expires files leaves them.",
                "Suspend versioning, or let a lifecycle rule delete noncurrent versions.",
            )  # fmt: skip
    with suppress(ClientError, BotoCoreError):
        yield from _lock(report, boto3.get_object_lock_configuration(Bucket=bucket))
    try:
        rules = boto3.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", [])
    except ClientError as exc:
        if code_of(exc) != "NoSuchLifecycleConfiguration":
            return  # not allowed to ask, or the storage has no such thing
        rules = []
    except BotoCoreError:
        return
    yield from lifecycle(report, rules, prefix, ttl_days)


def _lock(report: Report, answer: Mapping[str, Any]) -> Iterator[Finding]:
    retention = (
        answer.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
    )
    period = ", ".join(
        f"{retention[unit]} {unit.lower()}" for unit in ("Days", "Years") if unit in retention
    )
    if period:
        yield report.error(
            "object_lock",
            f"The bucket locks each object for {period}: what has expired, or a person deletes, "
            "stays.",
            "Use a bucket without a default retention.",
        )  # fmt: skip


def lifecycle(
    report: Report, rules: list[dict[str, Any]], prefix: str, ttl_days: float
) -> Iterator[Finding]:
    """Say what lifecycle rules do to objects below ``prefix``."""
    active = [rule for rule in rules if rule.get("Status") == "Enabled" and _concerns(rule, prefix)]
    expiry = [
        days for rule in active if (days := rule.get("Expiration", {}).get("Days")) is not None
    ]
    if expiry and min(expiry) < ttl_days:
        yield report.error(
            "lifecycle",
            f"A lifecycle rule deletes objects after {min(expiry)} days, and files are promised "
            f"for {ttl_days:g}.",
            "Lengthen the rule, or lower WAYBILL_RESULT_TTL_DAYS.",
        )  # fmt: skip
    elif not any("AbortIncompleteMultipartUpload" in rule for rule in active):
        yield report.note(
            "lifecycle", "No lifecycle rule aborts unfinished uploads; waybill's sweep does.",
            "A rule (AbortIncompleteMultipartUpload, 2 days) works while waybill is down, too.",
        )  # fmt: skip
    else:
        yield report.ok("lifecycle", "Unfinished uploads are aborted by the bucket's own rule.")


def _concerns(rule: Rule, prefix: str) -> bool:
    """Whether a rule is about any object below ``prefix``. What it asks of tags and sizes may be
    true of ours."""
    wanted = rule.get("Filter") or {}
    wanted = wanted.get("And") or wanted
    theirs = str(wanted.get("Prefix") or rule.get("Prefix") or "")
    return theirs.startswith(prefix) or prefix.startswith(theirs)
