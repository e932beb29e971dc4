"""Imports of JavaScript and TypeScript: ``import``, ``export … from``, ``require``, ``import()``.

Aliases of bundlers and of ``tsconfig.json`` are not followed: ban them by their own name.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from adrkit.checks.languages.language import ImportLanguage, Seen, line_of, nodes, text_of

#: A package, with its scope and a path below it; or a file of the project, from its root.
_NAME = re.compile(r"(?:node:|@[\w.~-]+/|@/|~/|#|\./)?[\w.$~-]+(?:/[\w.$~@-]+)*", re.ASCII)
_ENDING = re.compile(r"(?:/index)?\.(?:d\.)?(?:[cm]?[jt]s|[jt]sx|json)$|/index$")
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|[\s\S]))")
_SINGLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": "",
           "\r\n": "", "\r": ""}  # fmt: skip
_TYPE_PLACES = {
    "type_annotation", "type_query", "type_arguments", "type_alias_declaration",
    "interface_declaration", "type_parameters", "lookup_type", "union_type",
}  # fmt: skip
_NAMES_OF_LOADERS = ("identifier", "property_identifier", "shorthand_property_identifier")
#: What ``require`` has beside being called, none of which loads.
_HARMLESS = {"main", "cache", "extensions", "name", "length"}


def _imports(path: str, root: Any) -> Iterator[Seen]:
    declares = re.search(r"\.d\.([cm]?ts|\w+\.ts)$", path) is not None
    for node in nodes(root):
        if node.type in ("import_statement", "export_statement"):
            source = node.child_by_field_name("source")
            type_only = declares or any(child.type in ("type", "typeof") for child in node.children)
            for clause in node.children:
                if clause.type == "import_require_clause":
                    source = clause.child_by_field_name("source")
            if source is not None:
                yield Seen(_unescaped(text_of(source)[1:-1]), line_of(source), type_only)
        elif node.type == "call_expression":
            yield from _of_call(node, declares or _is_type(node))
        elif node.type == "new_expression":
            made = node.child_by_field_name("constructor")
            if made is not None and text_of(made) == "Function":
                yield Seen("", line_of(node), problem="new Function() may load anything")
        elif node.type in _NAMES_OF_LOADERS and text_of(node) in ("require", "createRequire"):
            yield from _of_name(node)


def _of_call(node: Any, type_only: bool) -> Iterator[Seen]:
    function, arguments = (node.child_by_field_name(name) for name in ("function", "arguments"))
    if function is None or arguments is None:
        return
    called = re.sub(r"\s|\?", "", text_of(function))
    if called in ("eval", "Function", "globalThis.eval", "window.eval"):
        yield Seen("", line_of(node), problem=f"{called}() may load anything")
        return
    if called.endswith((".require", ".require.resolve")):
        called = "require"
    if function.type != "import" and called not in (
        "require", "(require)", "require.resolve", "import.meta.resolve",
        "define", "importScripts",
    ):  # fmt: skip
        return
    given = [child for child in arguments.named_children if child.type != "comment"]
    if called == "define":  # AMD: define(name?, [modules], factory)
        given = [child for child in given if child.type == "array"]
    elif called != "importScripts":
        given = given[:1]
    for argument in given:
        listed = argument.named_children if argument.type == "array" else [argument]
        for item in listed:
            for text, whole in _texts(item):
                yield Seen(text, line_of(item), type_only, computed=not whole)


def _of_name(node: Any) -> Iterator[Seen]:
    """``require`` where it is not called: whoever gets it may load anything."""
    parent, used = node.parent, node
    if node.type == "property_identifier":
        if parent.type != "member_expression":
            return  # a key or a method of that name
        used, parent = parent, parent.parent
    if text_of(node) == "createRequire":
        problem = "createRequire() makes a loader of another name"
        if _is_called(used, parent):
            bound = parent.parent.child_by_field_name("name") if parent.parent else None
            if bound is not None and text_of(bound) == "require":
                return
        elif parent.type in ("import_specifier", "object_pattern", "pair_pattern"):
            return  # brought in by its name; what it makes is looked at where it is called
    else:
        problem = "`require` is passed on"
        if _is_called(used, parent) or _is_binding(used, parent) or _is_harmless(used, parent):
            return
    yield Seen("", line_of(node), problem=problem)


def _is_called(node: Any, parent: Any) -> bool:
    if parent is None:
        return False
    if parent.type == "parenthesized_expression" and parent.parent is not None:
        node, parent = parent, parent.parent
    return bool(parent.type == "call_expression" and parent.child_by_field_name("function") == node)


def _is_binding(node: Any, parent: Any) -> bool:
    """``const require = …`` and parameters of that name; ``const load = require`` is a use."""
    if parent.type == "variable_declarator":
        return bool(parent.child_by_field_name("name") == node)
    return parent.type in ("formal_parameters", "required_parameter", "function_declaration")


def _is_harmless(node: Any, parent: Any) -> bool:
    if parent.type == "unary_expression":
        return text_of(parent).startswith("typeof")
    if parent.type != "member_expression" or parent.child_by_field_name("object") != node:
        return False
    wanted = text_of(parent.child_by_field_name("property"))
    return wanted in _HARMLESS or (wanted == "resolve" and _is_called(parent, parent.parent))


def _texts(node: Any) -> list[tuple[str, bool]]:
    """What an expression may be: texts, with whether each is the whole or a beginning only."""
    if node.type == "string":
        return [(_unescaped(text_of(node)[1:-1]), True)]
    if node.type == "template_string":
        beginning = ""
        for child in node.children:
            if child.type == "template_substitution":
                return [(beginning, False)]
            if child.type in ("string_fragment", "escape_sequence"):
                beginning += _unescaped(text_of(child))
        return [(beginning, True)]
    if node.type == "binary_expression" and _operator(node) == "+":
        left, right = (_texts(node.child_by_field_name(name)) for name in ("left", "right"))
        return [
            (before + behind, whole) if complete else (before, False)
            for before, complete in left
            for behind, whole in right
        ]
    if node.type == "ternary_expression":
        branches = (node.child_by_field_name(n) for n in ("consequence", "alternative"))
        return [found for branch in branches for found in _texts(branch)]
    if node.type in ("parenthesized_expression", "as_expression", "non_null_expression"):
        return _texts(node.named_children[0])
    return [("", False)]


def _operator(node: Any) -> str:
    found = node.child_by_field_name("operator")
    return text_of(found) if found is not None else ""


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code:
            number = int(code, 16)
            return chr(number) if number <= 0x10FFFF else "�"
        return _SINGLE.get(match[4], match[4])

    return _ESCAPE.sub(one, text)


def _is_type(node: Any) -> bool:
    parent = node.parent
    while parent is not None and parent.type not in ("statement_block", "program"):
        if parent.type in _TYPE_PLACES:
            return True
        parent = parent.parent
    return False


def _forbids(path: str, seen: Seen, module: str, modules: tuple[str, ...]) -> bool | None:
    if seen.problem:
        return None
    target = seen.target
    if not seen.computed:
        target = re.split(r"[?]", target.rsplit("!", 1)[-1])[0]  # bundlers: loader!name?query
    if module.startswith("./"):
        return _meets_file(path, seen, target, module, modules)
    bare = _package(target)
    wanted = module.removeprefix("node:")
    if seen.computed:
        if target.startswith((".", "/")):
            return False
        return None if wanted.startswith(bare) or bare.startswith(f"{wanted}/") else False
    if bare == wanted or bare.startswith(f"{wanted}/"):
        return True
    if target.startswith("#") and not any(item.startswith("#") for item in modules):
        return None  # `imports` of package.json may lead to any package
    return None if "://" in target and wanted in target else False


def _package(target: str) -> str:
    """Without ``node:``, and without what Deno and Bun write around a name."""
    found = re.fullmatch(r"(?:npm|jsr):/?(@[^/@]+/[^/@]+|[^/@]+)(?:@[^/]*)?(/.*)?", target)
    if found:
        return found[1] + (found[2] or "")
    return target.removeprefix("node:")


def _meets_file(
    path: str, seen: Seen, target: str, module: str, modules: tuple[str, ...]
) -> bool | None:
    """A ban of ``./src/db``: the file, with any ending, and what is below it."""
    wanted = _ENDING.sub("", module[2:])
    if target.startswith("."):
        if seen.computed:
            return None  # what follows may climb with `..`
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        place = _ENDING.sub("", joined)
        return place == wanted or place.startswith(f"{wanted}/")
    if seen.computed and not target:
        return None
    for alias in ("@/", "~/", "#"):
        if target.startswith(alias):
            return False if any(item.startswith(alias) for item in modules) else None
    return False


def _could_name(module: str) -> bool:
    return _NAME.fullmatch(module) is not None


JAVASCRIPT = ImportLanguage(
    "JavaScript", "tree_sitter_javascript", "language", _imports, _forbids, _could_name
)
TYPESCRIPT = ImportLanguage(
    "TypeScript", "tree_sitter_typescript", "language_typescript", _imports, _forbids, _could_name
)
TSX = ImportLanguage(
    "TypeScript", "tree_sitter_typescript", "language_tsx", _imports, _forbids, _could_name
)
