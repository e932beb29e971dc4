"""Where an attempt's object is stored. The key carries the lease token, so that no attempt can
overwrite another's object, and so that the owner of any object can be told from its key."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from waybill.jobs.job import Lease
from waybill.manifest import manifest_key
from waybill.requests.object_folder import is_folder


@dataclass(frozen=True, slots=True)
class ObjectOwner:
    """The attempt that an object was written for; ``object_key`` without a manifest's suffix, and
    the ``folder`` below the prefix that it lies in, if it lies in one."""

    export_id: UUID
    token: UUID
    object_key: str
    folder: str | None = None


def object_key(prefix: str, folder: str | None, lease: Lease) -> str:
    """Return the key of an attempt's object; ``folder`` is its job's ``object_folder``."""
    place = prefix if folder is None else f"{prefix}/{folder}"
    return f"{place}/{lease.export_id}/{lease.attempt}-{lease.token}"


def owner_of(prefix: str, key: str) -> ObjectOwner | None:
    """Read a key that ``object_key`` made (or its manifest's); ``None`` for any other.

    Whether its job's objects lie in that folder, only the job's row can tell.
    """
    base = key.removesuffix(manifest_key(""))
    place, _, name = base.rpartition("/")
    parent, _, export_id = place.rpartition("/")
    attempt, _, token = name.partition("-")
    folder = None
    if parent != prefix:
        folder = parent.removeprefix(f"{prefix}/")
        if folder == parent or not is_folder(folder):
            return None
    if not attempt.isdecimal():
        return None
    try:
        owner = ObjectOwner(UUID(export_id), UUID(token), base, folder)
    except ValueError:
        return None
    # Only keys that we would have written ourselves: UUID() also reads other spellings.
    return owner if base == f"{parent}/{owner.export_id}/{attempt}-{owner.token}" else None
