"""Where an attempt's object is stored. The key carries the lease token, so that no attempt can
overwrite another's object, and so that the owner of any object can be told from its key."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from waybill.jobs.job import Lease
from waybill.manifest import manifest_key


@dataclass(frozen=True, slots=True)
class ObjectOwner:
    """The attempt that an object was written for; ``object_key`` without a manifest's suffix."""

    export_id: UUID
    token: UUID
    object_key: str


def object_key(prefix: str, lease: Lease) -> str:
    """Return the key of an attempt's object."""
    return f"{prefix}/{lease.export_id}/{lease.attempt}-{lease.token}"


def owner_of(prefix: str, key: str) -> ObjectOwner | None:
    """Read a key that ``object_key`` made (or its manifest's); ``None`` for any other."""
    base = key.removesuffix(manifest_key(""))
    folder, _, name = base.rpartition("/")
    parent, _, export_id = folder.rpartition("/")
    attempt, _, token = name.partition("-")
    if parent != prefix or not attempt.isdecimal():
        return None
    try:
        owner = ObjectOwner(UUID(export_id), UUID(token), base)
    except ValueError:
        return None
    # Only keys that we would have written ourselves: UUID() also reads other spellings.
    return owner if base == f"{prefix}/{owner.export_id}/{attempt}-{owner.token}" else None
