"""What is run, on how many rows, and how often. Works of a stage take turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["full", "quick", "tiny"]


@dataclass(frozen=True)
class Sizes:
    """Rows of the tables. ``base``, ``main`` and ``huge`` are 100,000, 1,000,000 and 10,000,000 in
    a full run; smaller ones stand for the larger in a quick run, and the results say so."""

    small: int
    middle: int
    base: int
    main: int
    large: int
    huge: int
    complaint: int
    """A public complaint: so many users, of whom a file held fewer."""

    def all(self) -> tuple[int, ...]:
        return tuple(
            sorted(
                {
                    self.small,
                    self.middle,
                    self.base,
                    self.main,
                    self.large,
                    self.huge,
                    self.complaint,
                }
            )
        )


SIZES: dict[Mode, Sizes] = {
    "full": Sizes(1_000, 10_000, 100_000, 1_000_000, 2_000_000, 10_000_000, 2_038_978),
    "quick": Sizes(1_000, 10_000, 100_000, 200_000, 2_000_000, 2_000_000, 203_897),
    # For the harness's own test: no figure of it means anything.
    "tiny": Sizes(100, 200, 1_000, 2_000, 4_000, 4_000, 4_001),
}


@dataclass(frozen=True)
class Entry:
    """A work and how often it runs. ``is_fresh``: each time in a worker that has run nothing."""

    work: str
    rounds: int
    is_fresh: bool = False


@dataclass(frozen=True)
class Stage:
    """``is_warmed``: one unmeasured job first, for what only a first one pays (the database's
    cache, the worker's clients)."""

    name: str
    title: str
    rows: int
    entries: tuple[Entry, ...]
    concurrency: int = 1
    is_warmed: bool = True


def stages(mode: Mode) -> tuple[Stage, ...]:
    """Return the stages, the most telling first, so that an interrupted run has them."""
    sizes = SIZES[mode]
    many, several, few = {"full": (5, 3, 2), "quick": (3, 2, 1), "tiny": (1, 1, 1)}[mode]
    slow = 1
    return (
        Stage("base", "Peers, small table", sizes.base, (
            Entry("job_csv", many), Entry("psql_file_csv", many), Entry("psql_s3_csv", many),
            Entry("job_csv_zstd", many), Entry("job_ndjson", many),
            Entry("psql_s3_ndjson", many), Entry("job_parquet", many),
            Entry("adbc_parquet", many), Entry("duckdb_csv", many), Entry("polars_csv", several),
            Entry("pandas_csv", several), Entry("sqlalchemy_csv", several),
            Entry("django_csv", 2 if mode == "full" else 1),
        )),
        Stage("main", "Peers, large table", sizes.main, (
            Entry("job_csv", many), Entry("psql_s3_csv", many), Entry("psql_file_csv", many),
            Entry("floor_csv", many),
            Entry("job_csv_zstd", many), Entry("job_ndjson", several),
            Entry("psql_s3_ndjson", several), Entry("job_parquet", several),
            Entry("adbc_parquet", several), Entry("duckdb_csv", several),
            Entry("polars_csv", few), Entry("pandas_csv", slow), Entry("sqlalchemy_csv", slow),
            *((Entry("django_csv", slow),) if mode == "full" else ()),
        )),
        Stage("approaches", "The specification's three approaches", sizes.base, (
            Entry("sync_rest", many), Entry("job_download", many), Entry("stream_csv", many),
        )),
        Stage("small", "Small exports", sizes.small, (
            Entry("job_csv", {"full": 40, "quick": 20, "tiny": 2}[mode]),
            Entry("stream_csv", {"full": 20, "quick": 10, "tiny": 1}[mode]),
        )),
        *(
            Stage(f"memory_{rows}", "Memory of a fresh worker, plain CSV", rows,
                  (Entry("job_csv", several, is_fresh=True),), is_warmed=False)
            for rows in (sizes.base, sizes.large)
        ),
        Stage("memory_formats", "Memory of a fresh worker, by format", sizes.main, tuple(
            Entry(work, few, is_fresh=True)
            for work in ("job_csv", "job_csv_zstd", "job_ndjson", "job_parquet")
        ), is_warmed=False),
        *(
            Stage(f"growth_{rows}", "Growth", rows,
                  (Entry("job_csv_zstd", rounds, is_fresh=True),), is_warmed=False)
            for rows, rounds in (
                (sizes.small, few), (sizes.middle, few), (sizes.base, few), (sizes.main, several),
            )
        ),
        Stage("throughput_1", "Many small jobs", sizes.small, (Entry("throughput_1", several),)),
        Stage("throughput_2", "Many small jobs", sizes.small, (Entry("throughput_2", several),),
              concurrency=2),
        Stage("before", "Many small jobs, and those of the release before", sizes.small, (
            Entry("small_jobs_now", several), Entry("small_jobs_before", several),
        ), is_warmed=False),
        Stage("complaint", "2,038,978 users, whole and verified", sizes.complaint,
              (Entry("job_download", several),)),
        Stage("fairness", "Whose turn it is", sizes.small, (
            Entry("fair_wait", several), Entry("claim_100", several),
            Entry("claim_100000", 1 if mode == "tiny" else several),
            # What they cost is a few percent: more runs, and by turns.
            Entry("served_in_turn", 2 * many), Entry("served_as_named", 2 * many),
        ), concurrency=2),
        Stage(f"growth_{sizes.huge}", "Growth", sizes.huge,
              (Entry("job_csv_zstd", few, is_fresh=True),), is_warmed=False),
        Stage("huge", "Peers, largest table", sizes.huge, (
            Entry("psql_s3_csv", 1), Entry("job_csv", 1, is_fresh=True),
            Entry("psql_file_csv", 1), Entry("job_ndjson", 1, is_fresh=True),
            Entry("job_parquet", 1, is_fresh=True),
            *((Entry("adbc_parquet", 1), Entry("duckdb_csv", 1)) if mode == "full" else ()),
        ), is_warmed=False),
    )  # fmt: skip
