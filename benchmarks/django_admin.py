"""A large export from the Django admin: how long it takes, what memory the processes need, and how
quickly the admin answers meanwhile. ``python benchmarks/django_admin.py --orders 1000000``

Not part of ``make bench``, and not of CI: the machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from pathlib import Path

import psutil
import psycopg

EXAMPLE = Path(__file__).parents[1] / "examples" / "django-shop"
sys.path.insert(0, str(EXAMPLE))

import run  # noqa: E402

# As the sample, but by the database itself.
_ORDERS = """
    INSERT INTO shop_order (customer_id, status, total, note, created_at)
    SELECT c.id, (ARRAY['open', 'paid', 'sent'])[n %% 3 + 1], n / 4.0, 'Order ' || n,
           '2026-01-01'::timestamptz + n * interval '1 second'
    FROM generate_series(1, %s::int) AS n
    JOIN (SELECT id, row_number() OVER () AS at FROM shop_customer AS c
          WHERE company_id = (SELECT id FROM shop_company WHERE name = 'Acme')) AS c
      ON c.at = n %% 10 + 1"""


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--port", type=int, default=8766)
    arguments = parser.parse_args()
    with run.services() as environment:
        run.set_up(environment, 10)
        names = {"PGDATABASE": "dbname", "PGUSER": "user", "PGPASSWORD": "password",
                 "PGHOST": "host", "PGPORT": "port"}  # fmt: skip
        where = {to: environment[name] for name, to in names.items()}
        with psycopg.connect(autocommit=True, **where) as connection:
            connection.execute(_ORDERS, (arguments.orders,))
            connection.execute("ANALYZE")
        with run.running(environment, arguments.port) as shop:
            print(json.dumps(measure(shop, arguments.orders), indent=2))


def measure(shop: run.Browser, orders: int) -> dict[str, object]:
    """Export all of Ann's orders, then her paid ones, while somebody else looks at changelists."""
    looking = run.Browser(shop.url)
    looking.sign_in("ann")
    quiet = [look(looking) for _ in range(10)]
    results: dict[str, object] = {"orders": orders, "changelist_quiet_ms": summary(quiet)}
    for what, query in (("all", ""), ("paid", "status=paid")):
        during: list[float] = []
        peaks: dict[str, int] = {}
        is_over = threading.Event()

        def watch(during: list[float] = during, over: threading.Event = is_over) -> None:
            while not over.wait(0.2):
                during.append(look(looking))

        def weigh(peaks: dict[str, int] = peaks, over: threading.Event = is_over) -> None:
            while not over.wait(0.1):
                for name, size in memory().items():
                    peaks[name] = max(size, peaks.get(name, 0))

        threads = [threading.Thread(target=watch), threading.Thread(target=weigh)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        data = shop.export("ann", query)
        seconds = time.monotonic() - began
        is_over.set()
        for thread in threads:
            thread.join()
        results[what] = {
            "rows": data.count("\n") - 1,
            "bytes": len(data),
            "seconds_with_download": round(seconds, 1),
            "changelist_ms": summary(during),
            "peak_rss_mib": peaks,
        }
    return results


def look(browser: run.Browser) -> float:
    """Return how long the changelist takes, in milliseconds."""
    began = time.monotonic()
    browser.get("/admin/shop/order/")
    return (time.monotonic() - began) * 1000


def summary(times: list[float]) -> dict[str, float]:
    """Return median and worst."""
    return {"median": round(statistics.median(times)), "worst": round(max(times))}


def memory() -> dict[str, int]:
    """Return the largest process of each kind, in MiB."""
    largest: dict[str, int] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            words = process.cmdline()
            kind = next((word for word in ("worker", "runserver") if word in words), None)
            if kind is not None:
                size = process.memory_info().rss >> 20
                largest[kind] = max(size, largest.get(kind, 0))
        except psutil.Error:
            continue
    return largest


if __name__ == "__main__":
    main()
