"""DuckDB with its postgres extension, loaded from the wheel: COPY to a file, then uploaded."""

import duckdb
from delivery import SPEC, temporary_file, upload_file
from duckdb_loading import load_postgres

if __name__ == "__main__":
    connection = duckdb.connect()
    load_postgres(connection)
    dsn = SPEC["dsn"].replace("'", "''")
    connection.execute(f"ATTACH '{dsn}' AS source (TYPE postgres, READ_ONLY)")
    with temporary_file(".csv") as path:
        connection.execute(
            f"COPY (SELECT * FROM source.public.{SPEC['table']}) TO '{path}' (FORMAT csv, HEADER)"
        )
        upload_file(path)
