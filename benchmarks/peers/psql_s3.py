"""psql \\copy to stdout, piped into boto3's upload_fileobj."""

import resource
import subprocess
import sys

from delivery import SPEC, report, upload

FORMATS = {
    "csv": "\\copy public.{table} to stdout with (format csv, header)",
    "ndjson": "\\copy (select row_to_json(u) from public.{table} u) to stdout",
}

if __name__ == "__main__":
    command = FORMATS[SPEC["format"]].format(table=SPEC["table"])
    psql = subprocess.Popen(
        [SPEC["psql"], "-X", "-q", "-c", command], stdout=subprocess.PIPE, bufsize=1024 * 1024
    )
    assert psql.stdout is not None
    upload(psql.stdout)
    if psql.wait() != 0:
        sys.exit("psql failed")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    report(psql_cpu=children.ru_utime + children.ru_stime)
