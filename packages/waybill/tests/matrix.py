"""Which neighbours are tested in which way: a table from what the tests declare by
``@pytest.mark.cell(row, *columns)``.

``python -m packages.waybill.tests.matrix`` writes it into ``docs/neighbours.md``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
GUIDE = TESTS.parents[2] / "docs" / "neighbours.md"
BEGIN, END = "<!-- matrix:begin -->\n", "<!-- matrix:end -->\n"

TABLES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        tuple(f"PostgreSQL {version}" for version in range(12, 19)),
        ("direct", "PgBouncer session", "PgBouncer transaction", "standby"),
    ),
    (
        ("Redis 6", "Redis 7", "Redis 8", "Valkey 9"),
        ("plain", "TLS", "ACL", "Sentinel", "Sentinel by TLS"),
    ),
    (
        ("SeaweedFS 4", "AWS S3", "MinIO", "Ceph RGW", "moto", "s3rver"),
        ("multipart", "presigned", "range", "abort", "checksum"),
    ),
)
"""What one would ask about: the rows and columns of each table. A cell that no test declares says
``untested``."""


TRIED = {
    "moto": ("multipart", "presigned", "range", "abort"),
    "s3rver": ("multipart", "presigned", "range"),
    "PostgreSQL 13": ("direct", "PgBouncer session", "PgBouncer transaction", "standby"),
    "PostgreSQL 14": ("direct", "PgBouncer session", "PgBouncer transaction", "standby"),
}
"""What was tried by hand, with the versions and the day that the guide says, and came out right."""


def declared(root: Path = TESTS) -> Iterator[tuple[str, str, str]]:
    """Yield row, column and test (its path and name) of each cell that a test declares."""
    for path in sorted(root.rglob("test_*.py")):
        text = path.read_text("utf-8")
        if "mark.cell(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.cell":
                    row, *columns = (ast.literal_eval(each) for each in mark.args)
                    for column in columns:
                        yield row, column, f"{path.relative_to(root)}::{node.name}"


def tables() -> str:
    """Return the tables as the guide has them."""
    tests: dict[tuple[str, str], list[str]] = {}
    for row, column, test in declared():
        tests.setdefault((row, column), []).append(test.partition("::")[0])
    blocks = []
    for rows, columns in TABLES:
        lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
        for row in rows:
            said = (
                ", ".join(f"`{name}`" for name in dict.fromkeys(tests.get((row, column), ())))
                for column in columns
            )
            cells = (
                each or ("by hand" if column in TRIED.get(row, ()) else "untested")
                for column, each in zip(columns, said, strict=True)
            )
            lines.append(f"| {row} | {' | '.join(cells)} |")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def guide() -> str:
    """Return the guide with the tables of now."""
    text = GUIDE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


if __name__ == "__main__":
    GUIDE.write_text(guide(), "utf-8")
