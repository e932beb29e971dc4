"""The specification's first approach: an endpoint that reads every row, builds the whole answer in
memory, and sends it. Serves one request of its own and says how long that took."""

import csv
import io
import threading
import time

import httpx
import uvicorn
from delivery import SPEC, report
from fastapi import FastAPI, Response
from sqlalchemy import create_engine, text

app = FastAPI()
engine = create_engine(SPEC.get("dsn", "").replace("postgresql://", "postgresql+psycopg://"))


@app.get("/users/export")
def export_users() -> Response:
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT * FROM public.{SPEC['table']} ORDER BY id"))
        names, values = rows.keys(), rows.all()
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(names)
    writer.writerows(values)
    return Response(lines.getvalue(), media_type="text/csv")


if __name__ == "__main__":
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    received = 0
    started = time.perf_counter()
    first = 0.0
    with httpx.stream("GET", f"http://127.0.0.1:{port}/users/export", timeout=900) as response:
        for chunk in response.iter_raw(256 * 1024):
            first = first or time.perf_counter() - started
            received += len(chunk)
    report(seconds=time.perf_counter() - started, bytes=received, first_byte_seconds=first)
    server.should_exit = True
    thread.join()
