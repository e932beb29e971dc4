"""pandas: read_sql_query in chunks, each appended with to_csv."""

import pandas as pd
from delivery import SPEC, uploading
from sqlalchemy import create_engine, text

CHUNK_ROWS = 50_000

if __name__ == "__main__":
    engine = create_engine(SPEC["dsn"].replace("postgresql://", "postgresql+psycopg://"))
    query = text(f"SELECT * FROM public.{SPEC['table']} ORDER BY id")
    with engine.connect().execution_options(stream_results=True) as connection:
        with uploading() as target:
            chunks = pd.read_sql_query(query, connection, chunksize=CHUNK_ROWS)
            for number, chunk in enumerate(chunks):
                chunk.to_csv(target, index=False, header=number == 0)
