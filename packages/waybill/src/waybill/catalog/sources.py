"""The databases that exports are read from, by name: which there are, and how each is spared.

A catalog says what they are called. Where they are, passwords included, the environment says or a
file of secrets: a catalog is read by people who may not know those.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from waybill.catalog.politeness import NOT_LIMITED, UNSHARED, Politeness, Together
from waybill.errors import ConfigurationError

DEFAULT_SOURCE: Final = "default"
"""What types are read from that name no source: ``WAYBILL_SOURCE_DSN``."""

Standby = Literal["prefer", "require"]
"""Whether a standby is read of the several hosts of an address: if one answers, or nothing else."""

# As it stands in the name of a variable: two names are never one variable.
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_VARIABLE: Final = "WAYBILL_SOURCE_DSN"
_ADDRESS: Final = re.compile(r"://|\b(host|user|password|dbname|service)\s*=")


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A database to export from.

    ``polite`` is what each export of its types keeps to, but for what they say themselves, and
    ``together`` what all of them do; ``standby`` which of its servers is read; ``dsn_file`` the
    file that holds its address, instead of ``variable``.

    Raises:
        ConfigurationError: the name cannot be part of a variable's, the default one has a file, or
            an address stands in the place of a file's name (which it does not quote).
    """

    name: str
    polite: Politeness = NOT_LIMITED
    standby: Standby | None = None
    dsn_file: str = ""
    together: Together = UNSHARED

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"The source's name {self.name!r} must be 1-31 characters of a-z, 0-9 or '_' and "
                "start with a letter. Rename its [sources.NAME] table."
            )
        if _ADDRESS.search(self.dsn_file):
            raise ConfigurationError(
                f"dsn_file of the source {self.name!r} holds an address, not a file. "
                f"Set {self.variable} to it, or write it to a file and name that."
            )
        if self.name == DEFAULT_SOURCE and self.dsn_file:
            raise ConfigurationError(
                f"[sources.{DEFAULT_SOURCE}] is the database of {_VARIABLE}: leave dsn_file out."
            )

    @property
    def variable(self) -> str:
        """The variable that holds its address."""
        return variable_of(self.name)


def variable_of(name: str) -> str:
    """Return the variable that holds the address of the source called ``name``."""
    return _VARIABLE if name == DEFAULT_SOURCE else f"{_VARIABLE}_{name.upper()}"


def by_name(sources: Iterable[NamedSource]) -> dict[str, NamedSource]:
    """Return sources by their names, the default one among them.

    Raises:
        ConfigurationError: two have one name.
    """
    found: dict[str, NamedSource] = {}
    for source in sources:
        if source.name in found:
            raise ConfigurationError(f"The source {source.name!r} is declared twice.")
        found[source.name] = source
    return {DEFAULT_SOURCE: NamedSource(DEFAULT_SOURCE), **found}


def unknown_source(name: str, known: Iterable[str]) -> str:
    """Return what there is to say of a source that the catalog does not declare."""
    listed = sorted(known)
    near = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return (
        f"There is no source {name!r}. {guess}Known are {', '.join(listed)}; declare another with "
        "a [sources.NAME] table."
    )


def unused_source(name: str) -> str:
    """Return what there is to say of a source that no type is read from."""
    return (
        f"No export type is read from the source {name!r}. Give those that are meant "
        f'source = "{name}", or take [sources.{name}] out.'
    )
