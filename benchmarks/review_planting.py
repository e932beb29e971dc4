"""Violations and harmless changes, planted into a project for `adr review` to find or to pass.

Each plant changes the work tree as a person would and says what a review has to report. It
returns None where the project has nothing that it could break.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adrkit import lifecycle
from adrkit.checks import Check, make_context, read_checks
from adrkit.checks.citations import check_citations, citations_in
from adrkit.checks.python_module import PythonModule
from adrkit.checks.run import evaluate
from adrkit.config import load_config
from adrkit.git import Git
from adrkit.model import Status
from adrkit.project_files import ProjectFiles
from adrkit.record import Record
from adrkit.repository import RecordRepository

Parsed = dict[tuple[str, bytes], PythonModule]
Passing = tuple[Record, Check, str, int]


@dataclass(frozen=True)
class Planted:
    """``rule`` that a review must report; ``number`` of the record, None for any."""

    rule: str
    number: int | None
    what: str


class Project:
    """A work tree at a commit, read once for several plants."""

    def __init__(self, root: Path, seed: int, parsed: Parsed | None = None) -> None:
        self.root, self.parsed = root, parsed
        self.random = random.Random(seed)  # noqa: S311 - reproducible, no secret
        self.config = load_config(root)
        self.git = Git.discover(root)
        self.files = ProjectFiles(self.config.root, self.git)
        self.repository = RecordRepository.of(self.config)
        self.records = self.repository.list()
        self.in_force = [r for r in self.records if r.status_kind is Status.ACCEPTED]

    def pick(self, items):  # type: ignore[no-untyped-def]
        return self.random.choice(items) if items else None

    def code(self) -> list[str]:
        """Product code that may cite records."""
        return [
            name
            for name in self.files.all
            if name.endswith((".py", ".go", ".ts", ".java"))
            and not re.search(
                r"(^|/)tests?/|benchmarks/|/test_|conftest|__init__|migrations/", name
            )
        ]

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def append(self, name: str, line: str) -> None:
        text = self.read(name) if (self.root / name).is_file() else ""
        self.write(name, f"{text.rstrip()}\n{line}\n" if text else f"{line}\n")

    def passing(self, kind: str) -> Iterator[Passing]:
        """Checks in force that pass, in a random order, with the place that shows it (line 0: no
        line). Each is carried out when it is asked for."""
        checks = [
            (record, check)
            for record in self.in_force
            for check in read_checks(record)
            if isinstance(check, Check) and check.spec.kind == kind and not check.revisit
        ]
        self.random.shuffle(checks)
        context = make_context(self.config, self.git, commands="skip", parsed=self.parsed)
        for record, check in checks:
            own = context.of(record)
            outcome = evaluate(own, check)
            if outcome.verdict == "pass":
                where = outcome.evidence
                path = own.place(where.path) if where else ""
                yield record, check, path, (where.line or 0) if where else 0


def first(found: Iterator[Passing]) -> Passing | None:
    return next(found, None)


# --- violations -----------------------------------------------------------------------------


_NAMED_VALUE = re.compile(r"[=:]\s*(?:Field\()?[A-Z][A-Z_]{2,}\b")
_OWN_NUMBER = re.compile(r"([=:]\s*(?:Field\()?\(?\s*)\d[\d_.]*")


def _value(project: Project, kind: str) -> Planted | None:
    # Not where the value is another name's: changing what stands beside it would break nothing.
    chosen = first(
        (record, check, path, line)
        for record, check, path, line in project.passing(kind)
        if line and not _NAMED_VALUE.search(project.read(path).split("\n")[line - 1])
    )
    if chosen is None:
        return None
    record, check, path, line = chosen
    lines = project.read(path).split("\n")
    old = lines[line - 1]
    new = _OWN_NUMBER.sub(r"\g<1>987654", old, count=1)
    if new == old:
        new = re.sub(r"(\d[\d_.]*)(?!.*\d)", lambda m: "987654", old)
    if new == old:
        new = re.sub(
            r"(True|False|true|false)",
            lambda m: (
                {"t": "f", "f": "t"}[m[0][0].lower()]
                and {"True": "False", "False": "True", "true": "false", "false": "true"}[m[0]]
            ),
            old,
        )
    if new == old:
        new = re.sub(r"([=:]\s*)(['\"])", r"\1\2other-", old)
    if new == old:
        return None
    lines[line - 1] = new
    project.write(path, "\n".join(lines))
    return Planted(
        "broken-check", record.number, f"{kind} {check.name or check.spec.title}: {new.strip()}"
    )


def changed_setting(project: Project) -> Planted | None:
    return _value(project, "setting")


def changed_configuration(project: Project) -> Planted | None:
    return _value(project, "config")


def forbidden_import(project: Project) -> Planted | None:
    chosen = first(project.passing("import-forbidden"))
    if chosen is None:
        return None
    record, check, _, _ = chosen
    spec = check.spec
    names = [
        n for n in project.files.find(spec.files, exclude=spec.excluded)
        if n.endswith(".py")
    ]  # fmt: skip
    name = project.pick(names)
    module = project.pick(spec.modules)
    if name is None or module is None:
        return None
    project.append(name, f"\n\ndef late() -> None:\n    import {module.removesuffix('.*')}  # noqa")
    return Planted("broken-check", record.number, f"import {module} in {name}")


def dropped_dependency(project: Project) -> Planted | None:
    chosen = first(i for i in project.passing("dependency") if i[3] and not i[1].spec.absent)
    if chosen is None:
        return None
    record, check, path, line = chosen
    lines = project.read(path).split("\n")
    named = re.compile(re.escape(check.spec.package).replace(r"\-", "[-_.]"), re.I)
    if not named.search(lines[line - 1]):
        return None
    kept = [
        text for text in lines if not re.match(rf"\s*[\"']?{named.pattern}(?![\w-])", text, re.I)
    ]
    project.write(path, "\n".join(kept))
    return Planted("broken-check", record.number, f"{check.spec.package} no longer in {path}")


def removed_path(project: Project) -> Planted | None:
    chosen = first(
        i for i in project.passing("path-exists") if (project.root / i[1].spec.path[0]).is_file()
    )
    if chosen is None:
        return None
    record, check, _, _ = chosen
    (project.root / check.spec.path[0]).unlink()
    return Planted("broken-check", record.number, f"{check.spec.path[0]} deleted")


def renamed_symbol(project: Project) -> Planted | None:
    chosen = first(project.passing("symbol-exists"))
    if chosen is None:
        return None
    record, check, path, _ = chosen
    symbols = check.spec.symbol if isinstance(check.spec.symbol, tuple) else (check.spec.symbol,)
    symbol = symbols[0].split(".")[-1]
    text = project.read(path or check.spec.file)
    project.write(path or check.spec.file, re.sub(rf"\b{symbol}\b", f"{symbol}_gone", text))
    return Planted("broken-check", record.number, f"{symbol} renamed in {path}")


def renamed_test(project: Project) -> Planted | None:
    chosen = first(project.passing("test"))
    if chosen is None:
        return None
    record, _, path, line = chosen
    if not line:
        return None
    lines = project.read(path).split("\n")
    lines[line - 1 :] = [
        re.sub(r"def test_", "def old_test_", t, count=1) if n == 0 else t
        for n, t in enumerate(lines[line - 1 :])
    ]
    project.write(path, "\n".join(lines))
    return Planted("broken-check", record.number, f"test in {path}:{line} renamed")


def removed_check(project: Project) -> Planted | None:
    items = [r for r in project.in_force if any(isinstance(c, Check) for c in read_checks(r))]
    record = project.pick(items)
    if record is None or record.path is None:
        return None
    text = record.document.text
    starts = [m.start() for m in re.finditer(r"^\[\[[\w-]+\]\]", text, re.MULTILINE)]
    end = text.index("```", starts[-1])
    record.path.write_text(text[: starts[-1]] + text[end:], encoding="utf-8")
    return Planted("check-removed", record.number, f"last check of {record.label}")


def citation_of_nothing(project: Project) -> Planted | None:
    name = project.pick(project.code())
    if name is None:
        return None
    mark = "//" if name.endswith((".go", ".ts", ".java")) else "#"
    project.append(name, f"{mark} as ADR-0987 wants it")  # adr-check: ignore
    return Planted("stale-citation", 987, name)


def superseded_but_cited(project: Project) -> Planted | None:
    """A record that code cites is superseded, and the code is forgotten."""
    run = check_citations(project.config, project.files, project.records)
    bad = {result.number for result in run.results}
    cited = {
        c.number
        for name in project.code()
        for c in citations_in(name, (project.root / name).read_bytes())
    }
    old = [r for r in project.in_force if r.number in cited - bad]
    chosen = project.pick(old)
    if chosen is None:
        return None
    others = [
        r
        for r in project.in_force
        if r.number != chosen.number and r.number not in chosen.supersedes
    ]
    heir = project.pick(others)
    if heir is None:
        return None
    try:
        lifecycle.supersede(project.repository, chosen, heir)
    except lifecycle.LifecycleError:
        return None
    return Planted("stale-citation", chosen.number, f"{chosen.label} superseded")


def deleted_but_named(project: Project) -> Planted | None:
    names = set(project.files.all)
    checked = {
        p
        for r in project.in_force
        for c in read_checks(r)
        if isinstance(c, Check)
        for p in c.spec.paths
    }
    found = [
        (record, cited.path)
        for record in project.in_force
        for cited in record.cited_paths
        if cited.path in names and cited.path not in checked and cited.path.endswith(".py")
    ]
    chosen = project.pick(found)
    if chosen is None:
        return None
    (project.root / chosen[1]).unlink()
    return Planted("stale-path", chosen[0].number, chosen[1])


def new_dependency(project: Project) -> Planted | None:
    way = project.random.randrange(5)
    name = project.pick(["dramatiq", "pymongo", "neo4j-driver", "grpcio-next", "polars-lts"])
    manifest = next(
        (
            n
            for n in project.files.all
            if n.endswith("pyproject.toml") and "\ndependencies = [" in project.read(n)
        ),
        None,
    )
    if way == 0 and manifest:
        text = project.read(manifest)
        project.write(
            manifest, text.replace("\ndependencies = [", f'\ndependencies = [\n    "{name}>=1",', 1)
        )
    elif way == 1:
        project.append("services/worker/requirements.txt", f"{name}>=2")
    elif way == 2:
        project.write("web/package.json", f'{{"dependencies": {{"{name}": "^1.0.0"}}}}\n')
    elif way == 3:
        project.write(
            "tool/go.mod", f"module x\n\ngo 1.23\n\nrequire (\n\tgithub.com/a/{name} v1.2.3\n)\n"
        )
    else:
        project.write(
            "fast/Cargo.toml", f'[package]\nname = "fast"\n\n[dependencies]\n{name} = "1"\n'
        )
    return Planted("undecided-dependency", None, str(name))


def new_service(project: Project) -> Planted | None:
    way = project.random.randrange(4)
    if way == 0:
        project.write("deploy/compose.yaml", "services:\n  search:\n    image: opensearch:3\n")
    elif way == 1:
        project.write("deploy/search.Dockerfile", "FROM scratch\n")
    elif way == 2:
        project.write(
            "deploy/search.yaml",
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: search\n",
        )
    else:
        project.write(
            "infra/search.tf", 'resource "aws_opensearch_domain" "search" {\n  x = 1\n}\n'
        )
    return Planted("undecided-service", None, f"service, way {way}")


def new_schema(project: Project) -> Planted | None:
    way = project.random.randrange(4)
    if way == 0:
        project.write("db/migrations/0099_orders.sql", "ALTER TABLE orders ADD COLUMN x text;\n")
    elif way == 1:
        project.write("app/migrations/0099_orders.py", "def upgrade() -> None:\n    pass\n")
    elif way == 2:
        project.write("schema/tables.sql", "CREATE TABLE invoices (id bigint PRIMARY KEY);\n")
    else:
        project.write(
            "api/orders.proto", 'syntax = "proto3";\nmessage Order {\n  string id = 1;\n}\n'
        )
    return Planted("undecided-schema", None, f"schema, way {way}")


def new_access_rule(project: Project) -> Planted | None:
    line = project.pick(
        [
            "import jwt\n",
            'payload = decode(token, key, algorithms=["HS256", "none"])',
            'options = {"verify_signature": False}',
            "response = client.get(url, verify=False)",
            "permission_classes = [AllowAny]",
            "SESSION_TTL_SECONDS = 86_400 * 365",
            'allow_origins=["*"],',
        ]
    )
    project.write("service/entry.py", f"def entry(): ...\n\n\n{line}\n")
    return Planted("undecided-auth", None, str(line).strip())


VIOLATIONS: Sequence[Callable[[Project], Planted | None]] = (
    changed_setting, changed_configuration, forbidden_import, dropped_dependency, removed_path,
    renamed_symbol, renamed_test, removed_check, citation_of_nothing, superseded_but_cited,
    deleted_but_named, new_dependency, new_service, new_schema, new_access_rule,
)  # fmt: skip


# --- harmless changes -----------------------------------------------------------------------


def a_comment(project: Project) -> str | None:
    name = project.pick(project.code())
    if name is None:
        return None
    mark = "//" if name.endswith((".go", ".ts", ".java")) else "#"
    project.append(name, f"{mark} reads well, and the token is checked elsewhere")
    return name


def a_citation_in_force(project: Project) -> str | None:
    name, record = project.pick(project.code()), project.pick(project.in_force)
    if name is None or record is None or record.number is None:
        return None
    mark = "//" if name.endswith((".go", ".ts", ".java")) else "#"
    project.append(name, f"{mark} ADR-{record.number:04d}")
    return name


def prose(project: Project) -> str | None:
    project.append("docs/handbook.md", "Passwords, OAuth2 and CREATE TABLE are spoken of here.")
    return "docs/handbook.md"


def a_test(project: Project) -> str | None:
    project.write(
        "tests/test_entry.py",
        "import jwt\n\n\ndef test_x(db):\n    db('CREATE TABLE x (a int)')\n"
        "    assert jwt.decode('x', algorithms=['HS256'])\n",
    )
    return "tests/test_entry.py"


def a_moved_file(project: Project) -> str | None:
    """Names in records are followed through git's renames."""
    checked = {
        p
        for r in project.in_force
        for c in read_checks(r)
        if isinstance(c, Check)
        for p in c.spec.paths
    }
    names = [
        cited.path
        for record in project.in_force
        for cited in record.cited_paths
        if cited.path in project.files.all
        and cited.path.endswith(".py")
        and cited.path not in checked
        and not cited.path.endswith("__init__.py")
    ]
    name = project.pick(names)
    if name is None:
        return None
    target = name.removesuffix(".py") + "_moved.py"
    subprocess.run(["git", "mv", name, target], cwd=project.root, check=True)
    return f"{name} -> {target}"


def a_raised_version(project: Project) -> str | None:
    names = [n for n in project.files.all if n.endswith("pyproject.toml")]
    for name in names:
        text = project.read(name)
        bound = {
            c.spec.package
            for r in project.in_force
            for c in read_checks(r)
            if isinstance(c, Check) and c.spec.kind == "dependency"
        }
        for match in re.finditer(r'"([\w-]+)>=(\d+)', text):
            if match.group(1).lower() not in bound:
                project.write(
                    name,
                    text[: match.end()] + ".0.1" + text[match.end() + 0 :].lstrip(".0123456789"),
                )
                return f"{name}: {match.group(1)}"
    return None


def a_new_module(project: Project) -> str | None:
    project.write(
        "service/totals.py",
        '"""Totals, which nobody has to permit."""\n\n\ndef total(rows: list[int]) -> int:\n'
        "    return sum(rows)  # the session of the caller is not looked at\n",
    )
    return "service/totals.py"


def a_decided_dependency(project: Project) -> str | None:
    """A dependency together with its record."""
    project.append("services/worker/requirements.txt", "pymongo>=4")
    folder = project.config.directory
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "draft-use-mongodb-bcdfghjk.md").write_text(
        # adr-check: off
        "# ADR-draft-use-mongodb-bcdfghjk: Use MongoDB\n\n**Date:** 2026-01-01\n"
        "**Status:** Accepted\n\n"
        "## Decision\n\nUse MongoDB.\n"
        # adr-check: on
    )
    return "pymongo with its record"


HARMLESS: Sequence[Callable[[Project], str | None]] = (
    a_comment, a_citation_in_force, prose, a_test, a_moved_file, a_raised_version, a_new_module,
    a_decided_dependency,
)  # fmt: skip
