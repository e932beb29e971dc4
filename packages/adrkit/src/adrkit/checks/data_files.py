"""TOML, YAML, JSON, INI and ``.env`` files as plain values."""

from __future__ import annotations

import configparser
import json
import tomllib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from adrkit.checks.env_files import parse_env
from adrkit.checks.verdict import CannotEvaluate, Evidence
from adrkit.checks.yaml_documents import chosen_document

FORMATS: Mapping[str, str] = {
    ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".ini": "ini", ".cfg": "ini",
    ".env": "env",
}  # fmt: skip


def format_of(path: str) -> str:
    """The format that a file's name tells, "" for none; ``.env.local`` is an ``.env`` file."""
    file = PurePosixPath(path)
    if file.name == ".env" or file.name.startswith(".env."):
        return "env"
    return FORMATS.get(file.suffix.casefold(), "")


def parse_data(path: str, data: bytes, format: str, document: str | int | None = None) -> Any:
    """``document`` chooses one of a YAML stream.

    Raises CannotEvaluate for what does not parse, and as ``chosen_document``.
    """
    try:
        text = data.decode("utf-8-sig")
        if "\0" in text:
            raise CannotEvaluate(f"{path} is not UTF-8 text: it holds zero bytes", Evidence(path))
        if format == "toml":
            return tomllib.loads(text)
        if format == "yaml":
            documents = list(yaml.load_all(text, Loader=_TolerantLoader))
            return chosen_document(path, documents, document)
        if format == "json":
            return json.loads(text, object_pairs_hook=_without_duplicates)
        return parse_env(text) if format == "env" else _parse_ini(text)
    except UnicodeDecodeError as error:
        raise CannotEvaluate(f"{path} is not UTF-8", Evidence(path)) from error
    except (
        ValueError, yaml.YAMLError, configparser.Error, RecursionError,
        AttributeError,  # PyYAML of `!!timestamp x`
    ) as error:  # fmt: skip
        shown = " ".join(str(error).split())
        raise CannotEvaluate(
            f"{path} is not valid {format.upper()}: {shown}", Evidence(path)
        ) from error


class _CasedParser(configparser.ConfigParser):
    """Keys keep their case."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def _parse_ini(text: str) -> dict[str, dict[str, str]]:
    parser = _CasedParser(interpolation=None, allow_no_value=True, strict=True)
    parser.read_string(text)
    return {section: dict(parser[section]) for section in parser}


class _TolerantLoader(yaml.SafeLoader):
    """Safe YAML in which an application's own tags (``!Ref x``) are the value they stand before."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice; programs differ in which one counts")
        found[key] = value
    return found


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        written = (key.tag, getattr(key, "value", "")) if isinstance(key, yaml.ScalarNode) else None
        if written is not None and written in seen and key.tag != "tag:yaml.org,2002:merge":
            line = key.start_mark.line + 1
            raise yaml.YAMLError(f"the key {key.value!r} is there twice, again on line {line}")
        if written is not None:
            seen.add(written)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


def _without_tag(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)  # noqa: S101 - there are three kinds of nodes
    return _mapping(loader, node)


_TolerantLoader.add_multi_constructor("!", _without_tag)
_TolerantLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
