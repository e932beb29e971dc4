"""ADBC to Arrow, pyarrow to Parquet with zstd, uploaded while it is written."""

import adbc_driver_postgresql.dbapi as adbc
import pyarrow.parquet as pq
from delivery import SPEC, uploading

if __name__ == "__main__":
    with adbc.connect(SPEC["dsn"]) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM public.{SPEC['table']}")
        batches = cursor.fetch_record_batch()
        with uploading() as target:
            with pq.ParquetWriter(target, batches.schema, compression="zstd") as writer:
                for batch in batches:
                    writer.write_batch(batch)
