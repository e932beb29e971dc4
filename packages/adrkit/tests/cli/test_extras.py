"""What `pip install adrkeep` brings works without extras; those are asked for in a sentence."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.testing import GitProject

_EXTRAS = {
    "languages": ("tree_sitter", "tree_sitter_go", "tree_sitter_javascript"),
    "lsp": ("pygls", "lsprotocol"),
    "mcp": ("mcp",),
    "watch": ("watchfiles",),
}
_OURS = ("adrkit.mcp_server", "adrkit.lsp_server", "adrkit.site.watch")


@pytest.fixture(autouse=True)
def without_extras(monkeypatch: pytest.MonkeyPatch, project: GitProject) -> None:
    for name in list(sys.modules):
        if name in _OURS or name.split(".")[0] in sum(_EXTRAS.values(), ()):
            monkeypatch.delitem(sys.modules, name)
    for names in _EXTRAS.values():
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)
    project.record(1, "one")
    project.write("src/app.py", "X = 1\n")
    project.commit()


@pytest.mark.parametrize(
    ("extra", "command"), [("lsp", "lsp"), ("mcp", "mcp"), ("watch", "site --watch")]
)
def test_missing_extra_is_one_sentence_with_the_command(
    project: GitProject, extra: str, command: str
) -> None:
    result = CliRunner().invoke(app, ["-C", str(project.root), *command.split()])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"error: this needs the extra {extra!r}",
        f"remedy: pip install 'adrkeep[{extra}]'",
    ]


@pytest.mark.parametrize(
    "command", ["list", "lint", "check", "audit", "review HEAD~0..HEAD", "why src/app.py", "site"]
)
def test_everything_else_works_without(project: GitProject, command: str) -> None:
    result = CliRunner().invoke(app, ["-C", str(project.root), *command.split()])
    assert result.exit_code in (0, 1), result.stderr
    assert "extra" not in result.stderr
