"""The application object, its global options and what every command shares."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from adrkit import __version__
from adrkit.cli.printable import on_one_line, printable
from adrkit.config import Config, directories_in_view, load_config
from adrkit.errors import AdrkitError, InvalidInput, RecordError, RecordNotFound
from adrkit.git import Git
from adrkit.ledger import NumberLedger
from adrkit.names import real_path
from adrkit.record import Record
from adrkit.remote import RemoteHead, read_remote
from adrkit.repository import RecordRepository

if TYPE_CHECKING:
    from rich.console import Console

EXIT_OK = 0
EXIT_FINDINGS = 1
EXIT_USAGE = 2

HELP = """Architecture decision records: write, number, link and check them.

\b
A first tour:
  adr init                          make docs/adr with a first record
  adr new "Use PostgreSQL"          write the next record from the template
  adr accept 2                      the decision is taken
  adr new "Use Valkey" --supersedes 2 --status Accepted
  adr list                          what was decided

Exit codes: 0 all well, 1 findings, 2 wrong use or unreadable input.
"""


class AdrGroup(TyperGroup):
    """Turns adrkit's errors into exit code 2 with the problem and its remedy on stderr."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AdrkitError as error:
            typer.echo(printable(f"error: {on_one_line(str(error))}"), err=True)
            typer.echo(printable(f"remedy: {error.remedy}"), err=True)
            raise typer.Exit(EXIT_USAGE) from error
        except BrokenPipeError as error:  # the reader of a pipe, `head`, has seen enough
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
            raise typer.Exit(EXIT_OK) from error
        except OSError as error:  # a disk or a file that nobody looked at before
            place = f"{error.filename}: " if error.filename else ""
            typer.echo(printable(f"error: {place}{error.strerror or error}"), err=True)
            typer.echo(
                "remedy: check the path, its permissions and the space on the disk", err=True
            )
            raise typer.Exit(EXIT_USAGE) from error


app = typer.Typer(
    name="adr",
    cls=AdrGroup,
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(eq=False)
class Workspace:
    """What commands work on; made once per invocation from the global options."""

    start: Path
    directory: Path | None
    heads: tuple[RemoteHead, ...] = ()

    @cached_property
    def config(self) -> Config:
        return load_config(self.start, directory=self.directory)

    @cached_property
    def repository(self) -> RecordRepository:
        return RecordRepository.of(self.config)

    @cached_property
    def git(self) -> Git | None:
        """None outside of a work tree or without git; ``Git.discover`` raises instead."""
        return Git.find(self.config.root)

    @cached_property
    def ledger(self) -> NumberLedger:
        return NumberLedger(self.repository, self.git, self.heads)

    @cached_property
    def spaces(self) -> tuple[Workspace, ...]:
        """One for each records directory that a reading command looks at from here."""
        found = () if self.directory is not None else directories_in_view(self.start)
        return tuple(Workspace(self.start, one, self.heads) for one in found) or (self,)

    @property
    def place(self) -> str:
        """The records directory, relative to the project's root."""
        path = os.path.relpath(self.config.directory.resolve(), self.config.root.resolve())
        return Path(path).as_posix()

    @property
    def is_part(self) -> bool:
        """Whether the project has records directories that this command does not look at."""
        return len(self.spaces[0].config.directories) > len(self.spaces)

    def everywhere(self) -> tuple[Workspace, ...]:
        """One for each records directory of the project that holds records."""
        every = () if self.directory is not None else self.spaces[0].config.directories
        return self.with_records(tuple(Workspace(self.start, one) for one in every))

    def with_records(self, spaces: tuple[Workspace, ...] = ()) -> tuple[Workspace, ...]:
        """``spaces`` that hold records; of several an empty one is said and left out.

        Raises RecordsDirectoryMissing or NoRecords when there are none at all.
        """
        found, problems = [], []
        for space in spaces or self.spaces:
            try:
                space.repository.require()
                found.append(space)
            except RecordError as error:
                problems.append(error)
        if not found:
            raise problems[0]
        for problem in problems:
            warn(f"{problem}: left out")
        return tuple(found)

    def ask_remote(self, remote: str = "origin") -> str | None:
        """Let the ledger count what the remote's branches and pull requests take.

        Before the ledger is first used. What could not be read, None when all was.
        """
        prefix = NumberLedger(self.repository, self.git).prefix
        if self.git is None or prefix is None:
            return "no git repository: there is no remote to ask"
        found = read_remote(self.git, prefix, remote=remote)
        self.heads = found.heads
        self.__dict__.pop("ledger", None)
        return found.problem

    def path(self, path: Path) -> Path:
        """A path from the command line, relative to ``-C``."""
        return path if path.is_absolute() else self.start / path

    def path_or_reference(self, text: str) -> Path | str:
        """A record named on the command line: a path relative to ``-C`` if there is one."""
        candidate = self.start / text
        return candidate if candidate.is_file() else text

    def record(self, reference: str) -> Record:
        """The record named by a number, a file name or a path.

        Raises RecordNotFound, AmbiguousNumber or a DocumentError.
        """
        return self.repository.resolve(str(self.path_or_reference(reference)))

    def find_record(self, reference: str) -> tuple[Workspace, Record]:
        """As ``record``, in any of the directories in view, with the one that it is in.

        Numbers are per directory: raises InvalidInput where several have it.
        """
        found: list[tuple[Workspace, Record]] = []
        for space in self.spaces:
            try:
                found.append((space, space.record(reference)))
            except RecordNotFound:
                if len(self.spaces) == 1:
                    raise
        if len(found) > 1:
            paths = ", ".join(self.shown(record.path) for _, record in found if record.path)
            raise InvalidInput(
                "record", reference, remedy=f"each directory has numbers of its own; name {paths}"
            )
        if not found:
            raise RecordNotFound(reference, self.spaces[0].config.root)
        return found[0]

    def shown(self, path: Path) -> str:
        """A path as messages show it, on one line whatever its name is."""
        return on_one_line(self.named(path))

    def named(self, path: Path) -> str:
        """A path, relative to the starting directory if below it."""
        try:
            return real_path(path).relative_to(real_path(self.start)).as_posix()
        except ValueError:
            return str(path)

    def warn_unreadable(self) -> bool:
        """Say which records could not be read; whether there were any."""
        for failed in self.repository.unreadable:
            warn(f"{failed.error} (left out; {failed.error.remedy})")
        return bool(self.repository.unreadable)

    def warn_passed_over(self, repository: RecordRepository | None = None) -> None:
        """Say which Markdown files between the records were not taken for records."""
        paths = (repository or self.repository).passed_over
        if paths:
            names = ", ".join(self.shown(path) for path in paths[:3])
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            warn(
                f"no record: {names}{more} (by its name, or without a number, a day and a known "
                "status; rename it, give it one, or name it under `exclude`)"
            )


def warn_unreadable(spaces: Iterable[Workspace]) -> bool:
    """Of each directory; whether there were any."""
    return bool(sum([space.warn_unreadable() for space in spaces]))


def workspace(ctx: typer.Context) -> Workspace:
    found = ctx.find_object(Workspace)
    if found is None:  # a command run without the application's callback
        found = Workspace(Path.cwd(), None)
    return found


def by_directory(spaces: Iterable[Workspace]) -> dict[str, tuple[Record, ...]]:
    """Records by their directory, relative to the project's root."""
    return {space.place: tuple(space.repository.require()) for space in spaces}


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"adrkit {__version__}")
        raise typer.Exit(EXIT_OK)


@app.callback()
def _main(
    ctx: typer.Context,
    change_directory: Annotated[
        Path | None,
        typer.Option("-C", metavar="PATH", help="Run as if started in PATH."),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="PATH",
            help="Directory of the records; default: from the settings, else docs/adr and alike.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    start = change_directory or Path()
    if not start.is_dir():
        raise typer.BadParameter(f"{start} is no directory", param_hint="-C")
    ctx.obj = Workspace(start.resolve(), directory)


def say_line(text: str) -> None:
    """One line, whatever names and titles it holds: a log is read by the line."""
    say(on_one_line(text))


def say(text: str) -> None:
    typer.echo(printable(text))


def warn(text: str) -> None:
    typer.echo(printable(f"warning: {on_one_line(text)}"), err=True)


def warn_of(problem: str | None) -> None:
    """Say what could not be done, if anything."""
    if problem is not None:
        warn(problem)


def print_json(value: Any) -> None:
    say(json.dumps(value, indent=2, ensure_ascii=False))


def console() -> Console:
    """Console of standard output; plain and unwrapped when that is no terminal."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        soft_wrap=not terminal, highlight=False, markup=False, width=None if terminal else 200
    )


def is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
