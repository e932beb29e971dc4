"""How an application wants its objects in S3, said in Python instead of by variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.storage.s3.tags import check_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """What is ``None`` is as the settings say. Who takes requests and who runs exports both need
    it: ``waybill.router(objects=…)`` and ``waybill.celery.install(objects=…)``.

    ``client``: a boto3 session, or a function that takes what ``boto3.client`` takes.
    ``tags``: of each object; values may say ``{tenant}`` and ``{export_type}``.
    ``acl``: a canned ACL. ``kms_key_id``: the key to encrypt by; ``aws:kms`` is asked for then.
    ``object_key``: takes a ``waybill.NewExport`` and returns the folder of its file, or ``None``.
    """

    client: Any = None
    tags: Mapping[str, str] | None = None
    acl: str | None = None
    encryption: str | None = None
    kms_key_id: str | None = None
    object_key: Callable[..., str | None] | None = None

    def applied_to(self, settings: Settings) -> Settings:
        """Return ``settings`` with these in place of theirs.

        Raises:
            ConfigurationError: one of them is none that S3 takes.
        """
        encryption = self.encryption or (None if self.kms_key_id is None else "aws:kms")
        said = {
            "s3_client": self.client,
            "s3_tags": None if self.tags is None else dict(self.tags),
            "s3_acl": self.acl,
            "s3_encryption": encryption,
            "s3_kms_key_id": self.kms_key_id,
            "object_key": self.object_key,
        }
        given = {name: value for name, value in said.items() if value is not None}
        for name, value in given.items():
            _check(name, value)
        if self.kms_key_id is not None and encryption != "aws:kms":
            raise ConfigurationError(
                f"waybill.Objects names a KMS key, and the encryption {encryption!r}. Leave "
                "encryption= out, or the key."
            )
        return settings.model_copy(update=given)


def _check(name: str, value: Any) -> None:
    kind: Any = Settings.model_fields[name].annotation
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as exc:
        said = exc.errors(include_input=False, include_url=False)[0]["msg"]
        raise ConfigurationError(
            f"waybill.Objects: {name} {value!r} does not hold: {said}."
        ) from exc
    if name == "s3_tags":
        check_tags(value)
    if (
        name == "s3_client"
        and not isinstance(value, str)
        and not callable(getattr(value, "client", value))
    ):
        raise ConfigurationError(
            f"waybill.Objects: client {value!r} gives no client of S3. Give a boto3 session, or a "
            "function that takes what boto3.client takes."
        )
