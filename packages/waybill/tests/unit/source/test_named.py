"""Where named sources are: by variables and files; what does not add up is refused at start."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from waybill.bootstrap.api import ApiParts
from waybill.bootstrap.scheduler import SchedulerParts
from waybill.bootstrap.worker import WorkerParts
from waybill.catalog import Catalog, ExportType, NamedSource, TableSource
from waybill.catalog.sources import Standby
from waybill.cli.startup import unknown_variables
from waybill.config import Settings, load_settings
from waybill.errors import ConfigurationError
from waybill.source.named import NamedSources, source_dsns
from waybill.source.source import Reads

OWN = "postgresql://own:s3cret@127.0.0.1:1/own"
THEIRS = "postgresql://reader:s3cret@127.0.0.1:1/theirs"
USERS = TableSource("public", "users")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("WAYBILL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WAYBILL_DATABASE_URL", OWN)
    monkeypatch.chdir(tmp_path)


def reading(*sources: NamedSource, unread: tuple[NamedSource, ...] = ()) -> Catalog:
    """A catalog with a type for each source."""
    types = [ExportType(f"of_{each.name}", USERS, source_name=each.name) for each in sources]
    return Catalog(types, sources=[*sources, *unread])


REPORTING = NamedSource("reporting")


def test_addresses_come_from_the_environment_and_the_file_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text(
        "WAYBILL_SOURCE_DSN_REPORTING=postgresql://nobody@h/old\nwaybill_source_dsn_eu=postgresql://h/eu\n"
    )
    monkeypatch.setenv("WAYBILL_SOURCE_DSN_REPORTING", THEIRS)
    monkeypatch.setenv("WAYBILL_SOURCE_DSN_EMPTY", "")
    settings = load_settings()
    assert "s3cret" not in repr(settings)
    catalog = reading(NamedSource("default"), REPORTING, NamedSource("eu"))
    assert source_dsns(catalog, settings) == {
        "default": OWN, "reporting": THEIRS, "eu": "postgresql://h/eu",
    }  # fmt: skip
    assert unknown_variables() == []


def test_address_is_read_from_a_file_of_secrets(tmp_path: Path) -> None:
    file = tmp_path / "reporting"
    file.write_text(f"{THEIRS}\n")
    catalog = reading(NamedSource("reporting", dsn_file=str(file)))
    assert source_dsns(catalog, load_settings())["reporting"] == THEIRS
    for text, says in ((" \n", "is empty"), (None, "cannot be read from")):
        file.unlink()
        if text is not None:
            file.write_text(text)
        with pytest.raises(ConfigurationError, match=says):
            source_dsns(catalog, load_settings())


@pytest.mark.parametrize(
    ("catalog", "given", "says"),
    [
        (reading(REPORTING), {}, "has no address: set WAYBILL_SOURCE_DSN_REPORTING."),
        (
            reading(REPORTING), {"reproting": THEIRS},
            "WAYBILL_SOURCE_DSN_REPROTING is set, and no source is called so",
        ),
        (
            reading(REPORTING), {"reporting": THEIRS, "reporting2": THEIRS},
            "declares no source 'reporting2'. Did you mean WAYBILL_SOURCE_DSN_REPORTING?",
        ),
        (
            reading(), {"reporting": THEIRS},
            "WAYBILL_SOURCE_DSN_REPORTING is set, and the catalog declares no source 'reporting'.",
        ),
        (reading(unread=(REPORTING,)), {}, "No export type is read from the source 'reporting'"),
        (reading(), {"default": THEIRS}, "two addresses, WAYBILL_SOURCE_DSN_DEFAULT and WAYBILL_S"),
        (
            reading(NamedSource("reporting", dsn_file="/x")), {"reporting": THEIRS},
            "two addresses, WAYBILL_SOURCE_DSN_REPORTING and dsn_file",
        ),
        (
            reading(REPORTING), {"reporting": "mysql://a:s3cret@h/d"},
            "WAYBILL_SOURCE_DSN_REPORTING: The DSN cannot be read",
        ),
        (
            reading(NamedSource("reporting", standby="require")),
            {"reporting": f"{THEIRS}?target_session_attrs=read-write"},
            "has standby = 'require' in the catalog, and target_session_attrs=read-write",
        ),
    ],
)  # fmt: skip
def test_what_does_not_add_up_is_refused_in_one_line(
    catalog: Catalog, given: dict[str, str], says: str
) -> None:
    settings = Settings(source_dsns=given)  # type: ignore[call-arg, arg-type]
    with pytest.raises(ConfigurationError) as caught:
        source_dsns(catalog, settings)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("role", [ApiParts, WorkerParts])
def test_roles_that_read_refuse_to_start_and_the_scheduler_needs_no_address(
    role: type[ApiParts | WorkerParts],
) -> None:
    settings = load_settings()
    with pytest.raises(ConfigurationError, match="WAYBILL_SOURCE_DSN_REPORTING"):
        role(settings, catalog=reading(REPORTING))
    SchedulerParts(settings, catalog=reading(REPORTING))


@pytest.mark.parametrize(
    ("standby", "wish"), [("prefer", "prefer-standby"), ("require", "standby")]
)
def test_wish_for_a_standby_goes_into_the_address(standby: Standby, wish: str) -> None:
    several = "postgresql://reader:s3cret@a:5432,b:5433/theirs"
    settings = Settings(source_dsn=several, source_dsns={"eu": several})  # type: ignore[call-arg, arg-type]
    catalog = reading(NamedSource("default", standby=standby), NamedSource("eu", standby=standby))
    expected = {**conninfo_to_dict(several), "target_session_attrs": wish}
    dsns = source_dsns(catalog, settings)
    assert {name: conninfo_to_dict(dsn) for name, dsn in dsns.items()} == {
        "default": expected, "eu": expected,
    }  # fmt: skip
    again = Settings(source_dsn=dsns["default"], source_dsns={"eu": dsns["eu"]})  # type: ignore[call-arg, arg-type]
    assert source_dsns(catalog, again) == dsns


def test_source_that_was_not_there_at_the_start_is_not_taken_for_the_default_one() -> None:
    sources = NamedSources({"default": OWN})
    kind = ExportType("orders", USERS, source_name="reporting")
    with (
        pytest.raises(ConfigurationError, match="no source 'reporting'"),
        sources.open_snapshot(lambda: None, reads=Reads(kind)),
    ):
        pass


def test_only_one_place_knows_where_the_default_source_is() -> None:
    package = Path(__import__("waybill").__file__).parent
    knowing = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if ".source_url" in path.read_text(encoding="utf-8")
    }
    # The doctor looks at it where no catalog loads.
    assert knowing == {"source/named.py", "doctor/source.py"}


def test_nobody_opens_a_snapshot_without_saying_what_it_is_for() -> None:
    package = Path(__import__("waybill").__file__).parent
    calls = [
        call
        for path in package.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", getattr(call.func, "id", "")) == "open_snapshot"
    ]
    assert len(calls) >= 6
    for call in calls:
        said = {keyword.arg for keyword in call.keywords} & {"reads", "exported"}
        holder = getattr(call.func, "value", None)
        named = isinstance(holder, ast.Call) and getattr(holder.func, "attr", "") == "of"
        assert said or named, ast.unparse(call)
