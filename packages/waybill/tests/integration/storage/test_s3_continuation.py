"""What S3 itself does when two writers meet on one upload (the rest: ``contracts``)."""

from __future__ import annotations

import hashlib
import os

from waybill.errors import RetryableError
from waybill.storage.base import PartReceipt
from waybill.storage.s3.storage import S3Storage
from waybill.storage.s3.upload import S3Upload

FIRST, OTHER = os.urandom(5 * 1024 * 1024), os.urandom(5 * 1024 * 1024)
LAST = b"the last rows"


def write(upload: S3Upload, number: int, data: bytes) -> PartReceipt:
    return upload.write_part(number, data, hashlib.sha256(data).hexdigest())


def test_part_replaced_by_a_zombie_is_never_in_the_file(storage: S3Storage) -> None:
    with storage.open_upload("file", content_type="text/plain") as zombie:
        receipt = write(zombie, 1, FIRST)
        zombie.share()
    with storage.continuation.open_upload("file", zombie.upload_id) as upload:
        last = write(upload, 2, LAST)  # type: ignore[arg-type]
        write(zombie, 1, OTHER)  # under the same number, after it was a checkpoint
        try:
            upload.complete([receipt, last])
        except RetryableError:
            # S3 itself: InvalidPart, since the ETag that was named is not the part's any more.
            assert storage.find("file") is None
        else:
            # SeaweedFS keeps both and takes the one whose ETag was named.
            assert b"".join(storage.read("file")) == FIRST + LAST
