"""One snapshot of a PostgreSQL database, read by COPY."""
