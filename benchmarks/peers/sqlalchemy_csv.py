"""SQLAlchemy and the csv module: what most Python services do, here with a server-side cursor."""

import csv
import io

from delivery import SPEC, uploading
from sqlalchemy import create_engine, text

if __name__ == "__main__":
    engine = create_engine(SPEC["dsn"].replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection, uploading() as target:
        with io.TextIOWrapper(target, encoding="utf-8", newline="") as lines:
            rows = connection.execution_options(yield_per=2_000).execute(
                text(f"SELECT * FROM public.{SPEC['table']} ORDER BY id")
            )
            writer = csv.writer(lines)
            writer.writerow(rows.keys())
            writer.writerows(rows)
