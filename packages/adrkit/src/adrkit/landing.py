"""What happens where branches are merged: the default branch, the table of records, the commit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adrkit.audit.base import AuditSettings, default_branch
from adrkit.config import Config
from adrkit.document import Document
from adrkit.errors import AdrkitError, UnknownRevision
from adrkit.git import Git
from adrkit.index import DEFAULT_COLUMNS, has_markers, index_table, with_index
from adrkit.numbering import NumberingPlan
from adrkit.repository import RecordRepository
from adrkit.transaction import FileChange, apply_changes


def on_default_branch(git: Git, config: Config) -> bool:
    """Raises DefaultBranchUnknown, or UnknownRevision for a wrong setting."""
    current = git.head().branch
    branch = default_branch(git, AuditSettings.of(config))
    return current is not None and branch in (current, f"origin/{current}")


def renewed_index(config: Config) -> Path | None:
    """Bring the table of records up to date where there is one; its path if that changed it.

    A README without markers, or with broken ones, is left alone: `adr index --check` speaks of it.
    """
    settings = config.table("index")
    named, columns = settings.get("file"), settings.get("columns", DEFAULT_COLUMNS)
    path = config.root / named if isinstance(named, str) else config.directory / "README.md"
    try:
        if isinstance(named, str):
            config.inside("index.file", path)
        if not path.is_file():
            return None
        document = Document.read(path)
        if not has_markers(document):
            return None
        records = RecordRepository.of(config).list()
        table = index_table(records, path.parent, tuple(map(str, columns)))
        before, after = document.to_bytes(), with_index(document, table).to_bytes()
        if before == after:
            return None
        apply_changes(config.directory, [FileChange(path, before, after)], config.boundary)
    except (AdrkitError, TypeError):
        return None
    return path


def commit_numbering(git: Git, plan: NumberingPlan, paths: Sequence[Path]) -> None:
    """Commit ``paths`` alone; what else is staged or changed stays as it is.

    Raises GitCommandFailed, for example when a hook of the project refuses the commit.
    """
    names = sorted({git.relative(path) for path in paths})
    numbers = ", ".join(f"ADR-{item.number:04d}" for item in plan.assigned)
    subject = f"Number {numbers}" if numbers else "Follow numbered drafts in late citations"
    body = "\n".join(f"{item.record.label} is ADR-{item.number:04d} now." for item in plan.assigned)
    message = f"{subject}\n\n{body}".strip()
    fed = "\0".join(names).encode("utf-8", "surrogateescape")
    chosen = ("--pathspec-from-file=-", "--pathspec-file-nul")
    if not _is_finishing_merge(git):
        git.act("add", "-A", *chosen, stdin=fed)
        git.act("commit", "-q", "-m", message, "--only", *chosen, stdin=fed)
        return
    # In the hook post-merge the merge is committed, but git keeps MERGE_HEAD until the hook
    # ends and would refuse to commit some paths only. The index is that of the merge then.
    git.run("diff", "--no-ext-diff", "--cached", "--quiet")
    git.act("add", "-A", *chosen, stdin=fed)
    tree = git.act("write-tree").decode().strip()
    head = git.resolve("HEAD")
    commit = git.act("commit-tree", tree, "-p", head, "-F", "-", stdin=message.encode())
    git.act("update-ref", "-m", subject, "HEAD", commit.decode().strip(), head)


def _is_finishing_merge(git: Git) -> bool:
    try:
        merging = git.resolve("MERGE_HEAD")
    except UnknownRevision:
        return False
    return git.merge_base("HEAD", merging) == merging  # committed: HEAD holds it already
