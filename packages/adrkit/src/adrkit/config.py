"""Settings of a project, found upward from where the command runs.

In each directory from the starting point up to the repository's root (a ``.git`` entry) or the
file system's, the first of these counts: ``adrkit.toml``, ``.adrkit.toml``, ``pyproject.toml``
with a ``[tool.adrkit]`` table, ``.adr-dir`` (adr-tools). Without any, the root is the directory
that holds ``.git``, else the starting point, and the first existing of DEFAULT_DIRECTORIES is the
records directory. ``directories`` names several; which of them is meant then depends on where one
stands (``adrkit.areas``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from adrkit.areas import DEFAULT_DIRECTORIES, expanded, in_view, owner
from adrkit.confine import boundary_of, confined
from adrkit.dialects.metadata import KEYS, spelled
from adrkit.errors import ConfigError, PathOutside, SeveralDirectories
from adrkit.model import SectionName, Status
from adrkit.reading import DEFAULT_READING, Reading

_MAX_BYTES = 5_000_000
CONFIG_FILES = ("adrkit.toml", ".adrkit.toml")

#: Names of all files that settings are looked for in.
SETTINGS_FILES = (*CONFIG_FILES, "pyproject.toml", ".adr-dir")

#: Tables that other parts of adrkit read themselves, through ``Config.table``.
TABLES = ("lint", "audit", "check", "index", "graph", "site", "export", "import", "lsp", "mcp")

#: Tables of words, each with what it means: how the records are to be read.
_READING = ("statuses", "headings", "fields")
_KEYS = {"directory", "directories", "template", "exclude", "citations", *_READING, *TABLES}
_DEFAULT_CITATIONS = ("**/*",)


@dataclass(frozen=True, slots=True)
class Config:
    """``root`` is absolute: relative paths in the settings are relative to it.

    ``source`` is the file the settings come from, None for the defaults. ``exclude`` are glob
    patterns, relative to the records directory, of Markdown files that are no records.
    ``citations`` are glob patterns, relative to the root, of the files that may cite records.
    ``reading`` holds the project's own words (``statuses``, ``headings``, ``fields``).
    ``directories`` are all of a project that has several, ``patterns`` how they are written, and
    ``directory`` is the one of them that is worked on.
    """

    root: Path
    directory: Path
    source: Path | None = None
    template: Path | None = None
    exclude: tuple[str, ...] = ()
    citations: tuple[str, ...] = _DEFAULT_CITATIONS
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reading: Reading = DEFAULT_READING
    directories: tuple[Path, ...] = ()
    patterns: tuple[str, ...] = ()

    def owns(self, path: Path) -> bool:
        """Whether a number in the file ``path`` (absolute) is one of ``directory``'s."""
        return owner(self.directories, path) in (None, self.directory)

    @property
    def boundary(self) -> Path:
        """The checkout: nothing outside of it is written unless the user names it."""
        return boundary_of(self.root)

    def inside(self, setting: str, path: Path) -> Path:
        """A path from the settings, symbolic links followed. Raises ConfigError outside."""
        try:
            return confined(path, self.boundary)
        except PathOutside as error:
            raise ConfigError(
                self.source or self.root,
                f"{setting!r} leads out of the checkout: {error.reason}",
                remedy="name a path inside"
                + (", or give another directory with --dir" if setting == "directory" else ""),
            ) from error

    def table(self, name: str) -> Mapping[str, Any]:
        """Settings of one command, ``[tool.adrkit.NAME]``; empty when there are none."""
        return self.tables.get(name, {})


def load_config(start: Path, *, directory: Path | None = None) -> Config:
    """Settings for ``start`` (a directory). ``directory``, relative to it, overrides theirs.

    Raises ConfigError when a settings file does not parse or holds an unknown key, and
    SeveralDirectories where one stands in none of several.
    """
    start = start.resolve()
    config = _find(start)
    _keep_inside(config, directory is not None)
    if directory is None:
        if not config.directories:
            return config
        found = owner(config.directories, start)
        if found is None:
            raise SeveralDirectories(config.directories, config.root)
        return replace(config, directory=found)
    chosen = (start / directory).resolve()
    root = config.root if chosen.is_relative_to(config.root) else chosen
    return replace(config, root=root, directory=chosen)


def directories_in_view(start: Path) -> tuple[Path, ...]:
    """The records directories that a command which only reads looks at from ``start``; empty for
    a project that has one. Raises ConfigError."""
    start = start.resolve()
    config = _find(start)
    _keep_inside(config, False)
    return in_view(config.directories, start) if config.directories else ()


def _keep_inside(config: Config, is_chosen: bool) -> None:
    """Settings come with a checkout: they may not send adrkit out of it.

    Raises ConfigError. A directory given with --dir (``is_chosen``) is the user's own word and
    takes the place of the settings' one; what else they name is theirs all the same.
    """
    if not is_chosen:
        config.inside("directory", config.directory)
    if config.template is not None:
        config.inside("template", config.template)
    for path in config.directories:
        config.inside("directories", path)


def _find(start: Path) -> Config:
    root = start
    for place in (start, *start.parents):
        for name in CONFIG_FILES:
            if _is_there(place / name):
                return _from_table(place / name, _read_toml(place / name))
        project = place / "pyproject.toml"
        if _is_there(project):
            tool = _read_toml(project).get("tool", {})
            if isinstance(tool, dict) and "adrkit" in tool:
                return _from_table(project, tool["adrkit"])
        if _is_there(place / ".adr-dir"):
            return _from_adr_dir(place / ".adr-dir")
        if (place / ".git").exists():
            root = place
            break
    return Config(root, _default_directory(root))


def _is_there(path: Path) -> bool:
    """Whether a settings file is to be read. As with a record: raises ConfigError for a link out
    of the checkout, whose text a message could show, and for a pipe or device."""
    try:
        if path.is_symlink():
            confined(path, boundary_of(path.parent))
        if not path.exists() or path.is_dir():
            return False
        if path.is_file():
            return True
        problem = "it is no file"
    except PathOutside as error:
        problem = error.reason
    except OSError as error:
        problem = error.strerror or str(error)
    raise ConfigError(
        path, f"cannot be read: {problem}", remedy="settings are a file of the checkout"
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except UnicodeDecodeError as error:
        raise ConfigError(path, "not UTF-8", remedy="save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:  # brackets without end, a number of 5,000 digits
        problem = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigError(path, f"not valid TOML: {problem}", remedy="mend that line") from error
    except OSError as error:
        raise ConfigError(
            path, f"cannot be read: {error.strerror}", remedy="check its permissions"
        ) from error


def _text(path: Path) -> str:
    # A checkout's own, so that it may be anything: of a gigabyte nothing is read.
    if path.stat().st_size > _MAX_BYTES:
        raise ConfigError(
            path,
            f"larger than {_MAX_BYTES} bytes",
            remedy="settings are a few lines: look at what that file is",
        )
    return path.read_text(encoding="utf-8-sig")


def _from_adr_dir(path: Path) -> Config:
    try:
        named = _text(path).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, "cannot be read", remedy="write one path into it") from error
    if not named or "\n" in named or "\0" in named:
        raise ConfigError(path, "must hold one path", remedy="write the records directory into it")
    return Config(path.parent, (path.parent / named).resolve(), path)


def _default_directory(root: Path) -> Path:
    for name in DEFAULT_DIRECTORIES:
        if (root / name).is_dir():
            return root / name
    return root / DEFAULT_DIRECTORIES[0]


def _from_table(path: Path, table: object) -> Config:
    if not isinstance(table, dict):
        raise ConfigError(path, "tool.adrkit must be a table", remedy="write [tool.adrkit]")
    if unknown := sorted(set(table) - _KEYS):
        raise ConfigError(
            path,
            f"unknown setting {unknown[0]!r}",
            remedy=f"known settings: {', '.join(sorted(_KEYS))}",
        )
    root = path.parent
    directory = _string(path, table, "directory")
    directories = _directories(path, table)
    template = _string(path, table, "template")
    if template is not None and not (root / template).is_file():
        raise ConfigError(
            path,
            f"template {template!r} does not exist",
            remedy="name a file, relative to this one",
        )
    tables = {}
    for name in TABLES:
        value = table.get(name, {})
        if not isinstance(value, dict):
            raise ConfigError(path, f"{name!r} must be a table", remedy=f"write [{name}] entries")
        tables[name] = value
    return Config(
        root,
        (root / directory).resolve()
        if directory is not None
        else directories[0]
        if directories
        else _default_directory(root),
        path,
        root / template if template is not None else None,
        _strings(path, table, "exclude", ()),
        _strings(path, table, "citations", _DEFAULT_CITATIONS),
        tables,
        _reading(path, table),
        directories,
        _strings(path, table, "directories", ()),
    )


def _directories(path: Path, table: dict[str, Any]) -> tuple[Path, ...]:
    patterns = _strings(path, table, "directories", ())
    if patterns and "directory" in table:
        raise ConfigError(
            path, "both 'directory' and 'directories'", remedy="keep one of the two settings"
        )
    try:
        found = tuple(dict.fromkeys(expanded(path.parent, patterns)))
    except (ValueError, NotImplementedError, OSError) as error:
        raise ConfigError(
            path, f"'directories': {error}", remedy="name directories relative to this file"
        ) from error
    if "directories" in table and not found:
        raise ConfigError(
            path, "'directories' names none that there is", remedy="make one, or mend the pattern"
        )
    for one in found:
        if any(one != other and one.is_relative_to(other) for other in found):
            raise ConfigError(
                path, f"'directories': {one.name} lies in another one", remedy="keep the outer one"
            )
    return found


def _reading(path: Path, table: dict[str, Any]) -> Reading:
    statuses, headings, fields = (_words(path, table, name) for name in _READING)
    known_statuses = {status.value.casefold(): status for status in Status}
    known_sections = {name.value: name for name in SectionName}
    return Reading(
        tuple(
            (word, _meaning(path, "statuses", word, meant.casefold(), known_statuses))
            for word, meant in statuses.items()
        ),
        tuple(
            (word, _meaning(path, "headings", word, meant.casefold(), known_sections))
            for word, meant in headings.items()
        ),
        tuple(
            (
                word,
                _meaning(path, "fields", word, spelled(meant), dict.fromkeys(KEYS, spelled(meant))),
            )
            for word, meant in fields.items()
        ),
    )


def _words(path: Path, table: dict[str, Any], name: str) -> dict[str, str]:
    value = table.get(name, {})
    if isinstance(value, dict) and all(
        isinstance(meant, str) and meant.strip() and word.strip() for word, meant in value.items()
    ):
        return {" ".join(word.split()).casefold(): meant.strip() for word, meant in value.items()}
    raise ConfigError(
        path,
        f"{name!r} must be a table of words",
        remedy=f'write {name} = {{ "word" = "meaning" }}',
    )


_Meaning = TypeVar("_Meaning")


def _meaning(
    path: Path, name: str, word: str, meant: str, known: Mapping[str, _Meaning]
) -> _Meaning:
    if meant in known:
        return known[meant]
    raise ConfigError(
        path, f"{name}: {word!r} cannot mean {meant!r}", remedy=f"one of {', '.join(known)}"
    )


def _string(path: Path, table: dict[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is None or (isinstance(value, str) and value.strip() and "\0" not in value):
        return value
    raise ConfigError(path, f"{key!r} must be a non-empty string", remedy=f'write {key} = "..."')


def _strings(
    path: Path, table: dict[str, Any], key: str, default: tuple[str, ...]
) -> tuple[str, ...]:
    value = table.get(key)
    if value is None:
        return default
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise ConfigError(
        path, f"{key!r} must be a list of strings", remedy=f'write {key} = ["...", "..."]'
    )
