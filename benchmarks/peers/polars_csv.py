"""polars through ConnectorX: the whole table in memory, then one file."""

import polars as pl
from delivery import SPEC, temporary_file, upload_file

# ConnectorX has no type for these; a CSV cell is text in any case.
QUERY = """
SELECT id, public_id::text, email, full_name, phone, country::text, city, birth_date,
       balance::text, is_active, tags::text, preferences::text, notes, created_at, last_login_at
FROM public.{table}
"""

if __name__ == "__main__":
    frame = pl.read_database_uri(
        QUERY.format(table=SPEC["table"]), SPEC["dsn"], engine="connectorx"
    )
    with temporary_file(".csv") as path:
        frame.write_csv(path)
        upload_file(path)
