"""psql \\copy to a file on the local disk: the client most people reach for first."""

import os

from delivery import SPEC

FORMATS = {
    "csv": "\\copy public.{table} to '{path}' with (format csv, header)",
    "ndjson": "\\copy (select row_to_json(u) from public.{table} u) to '{path}'",
}

if __name__ == "__main__":
    command = FORMATS[SPEC["format"]].format(table=SPEC["table"], path=SPEC["path"])
    # In this process's place: nothing but psql is measured.
    os.execv(SPEC["psql"], [SPEC["psql"], "-X", "-q", "-c", command])  # noqa: S606
