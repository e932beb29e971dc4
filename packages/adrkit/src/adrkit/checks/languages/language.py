"""What the languages have in common, and the parser that reads them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from adrkit.checks.manifests.declared import decoded
from adrkit.checks.verdict import CannotEvaluate, Evidence


@dataclass(frozen=True, slots=True)
class Seen:
    """One import. ``computed``: ``target`` is only what its text begins with, "" for nothing.

    ``problem`` is set for what may import anything: the loader itself is passed on.
    """

    target: str
    line: int
    type_only: bool = False
    computed: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ImportLanguage:
    """``forbids`` says of a file, an import and a banned module whether the one is the other; None
    is "perhaps". ``module_problem`` judges a banned module's name."""

    name: str
    package: str
    grammar: str
    imports: Callable[[str, Any], Iterator[Seen]]
    forbids: Callable[[str, Seen, str, tuple[str, ...]], bool | None]
    could_name: Callable[[str], bool]

    def read(self, path: str, data: bytes) -> list[Seen]:
        """Raises CannotEvaluate: the extra is missing, or the text is none of the language."""
        text = decoded(path, data)
        root = self._parse(path, text)
        if root.has_error:
            line = _line_of_error(root)
            raise CannotEvaluate(
                f"{path}:{line} is no {self.name} that can be parsed", Evidence(path, line)
            )
        return list(self.imports(path, root))

    def _parse(self, path: str, text: str) -> Any:
        try:
            library = importlib.import_module("tree_sitter")
            grammar = importlib.import_module(self.package)
        except ModuleNotFoundError as error:
            raise CannotEvaluate(
                f"{path}: imports of {self.name} need the extra 'languages': "
                "pip install 'adrkeep[languages]'",
                Evidence(path),
            ) from error
        language = library.Language(getattr(grammar, self.grammar)())
        return library.Parser(language).parse(text.encode()).root_node


def nodes(root: Any) -> Iterator[Any]:
    """Every node in the order of the text, without recursion: a file may nest deeper than Python
    calls."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(reversed(node.children))


def line_of(node: Any) -> int:
    return int(node.start_point[0]) + 1


def text_of(node: Any) -> str:
    return str(node.text.decode())


def _line_of_error(root: Any) -> int:
    """Of the first one; what holds no error is not gone through, however large it is."""
    pending = [root]
    while pending:
        node = pending.pop()
        if node.is_error or node.is_missing:
            return line_of(node)
        pending.extend(child for child in reversed(node.children) if child.has_error)
    return 1
