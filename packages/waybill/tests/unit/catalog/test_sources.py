"""Sources by name: what a catalog says of them, and what it is told of names that are none."""

from __future__ import annotations

import pytest
from sqlalchemy import Column as SqlColumn
from sqlalchemy import Integer, MetaData, Table

from waybill.catalog import (
    Catalog,
    CatalogFileError,
    Export,
    ExportType,
    NamedSource,
    TableSource,
)
from waybill.catalog.politeness import Hours, Politeness, Together
from waybill.catalog.sources import variable_of
from waybill.catalog.toml import parse_catalog
from waybill.errors import ConfigurationError
from waybill.jobs.turns import RunningLimits

USERS = TableSource("public", "users")
TWO = """
[sources.reporting]
standby = "require"
dsn_file = "/run/secrets/reporting"
polite = { rows_per_second = 1000, hours = "22:00-06:00", max_lag_seconds = 30 }

[sources.default.polite]
mb_per_second = 5

[exports.users]
table = "users"

[exports.orders]
table = "orders"
source = "reporting"

[exports.items]
table = "items"
source = "reporting"
polite = { rows_per_second = 50, hours = "01:00-02:00", timezone = "Europe/Berlin" }
"""


def test_type_is_read_from_the_source_it_names_and_spares_it_as_the_source_says() -> None:
    catalog = parse_catalog(TWO)
    assert {name: each.source_name for name, each in catalog.items()} == {
        "users": "default", "orders": "reporting", "items": "reporting",
    }  # fmt: skip
    assert catalog["users"].polite == Politeness(mb_per_second=5)
    general = Politeness(rows_per_second=1_000, hours=Hours("22:00-06:00"), max_lag_seconds=30)
    assert catalog["orders"].polite == general
    # What a type says itself counts, each word for itself.
    assert catalog["items"].polite == Politeness(
        rows_per_second=50, hours=Hours("01:00-02:00", "Europe/Berlin"), max_lag_seconds=30
    )
    assert catalog.sources["reporting"] == NamedSource(
        "reporting", general, "require", "/run/secrets/reporting"
    )
    assert catalog.sources_read() == ("default", "reporting")
    assert list(catalog.of_source("reporting")) == ["orders", "items"]
    assert catalog.of_source("reporting")["items"] == catalog["items"]


def test_source_says_what_all_its_exports_keep_to_together() -> None:
    catalog = parse_catalog(
        TWO + "[sources.reporting.together]\nmax_running = 2\nrows_per_second = 100\n"
    )
    together = Together(2, rows_per_second=100)
    assert catalog.sources["reporting"].together == together
    assert {name: each.together for name, each in catalog.items()} == {
        "users": Together(), "orders": together, "items": together,
    }  # fmt: skip
    limits = RunningLimits.of(catalog, per_tenant=None, per_person=None)
    assert limits.per_source == {("orders", "items"): 2}
    assert limits.are_set
    # What an export may read by itself counts too, and the slower of both.
    assert catalog["items"].seconds_for(rows=1_000) == 20
    assert catalog["items"].seconds_for(rows=1_000, sharers=4) == 40
    assert catalog["users"].limits_rate
    in_python = Catalog(
        [ExportType("orders", USERS, source_name="reporting", together=Together(9))],
        sources=[NamedSource("reporting", together=together)],
    )
    assert in_python["orders"].together == together


def test_catalog_in_python_says_the_same() -> None:
    polite = Politeness(rows_per_second=1_000)
    catalog = Catalog(
        [ExportType("orders", USERS, source_name="reporting")],
        sources=[NamedSource("reporting", polite)],
    )
    assert catalog["orders"].polite == polite
    assert catalog.sources_read() == ("reporting",)
    added = catalog.add(ExportType("users", USERS))
    assert (added, added.polite) == (catalog["users"], Politeness())


def test_models_name_sources_too() -> None:
    table = Table("orders", MetaData(), SqlColumn("id", Integer, primary_key=True))
    export = Export(table, options={"source_name": "reporting"})
    reporting = NamedSource("reporting", Politeness(rows_per_second=9))
    catalog = Catalog.from_sqlalchemy(export, sources=[reporting])
    assert catalog["orders"].polite == reporting.polite
    with pytest.raises(ConfigurationError, match="no source 'reporting'"):
        Catalog.from_sqlalchemy(export)


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        (
            '[sources.reporting]\n[exports.a]\ntable = "a"\nsource = "reporting"\n'
            '[exports.b]\ntable = "b"\nsource = "reportin"',
            "7:1",
            "no source 'reportin'. Did you mean 'reporting'? Known are default, reporting",
        ),
        (
            '[exports.a]\ntable = "a"\nsource = "elsewhere"', "3:1",
            "no source 'elsewhere'. Known are default; declare another with a [sources.NAME]",
        ),
        (
            '[sources.old]\n[exports.a]\ntable = "a"', "1:10",
            "No export type is read from the source 'old'",
        ),
        ('[sources.old]', "1:10", "No export type is read from the source 'old'"),
        (
            '[sources.default]\n[sources.b]\n[exports.a]\ntable = "a"\nsource = "b"', "1:10",
            "No export type is read from the source 'default'",
        ),
        (
            '[sources.default]\ndsn_file = "/x"\n[exports.a]\ntable = "a"', "1:10",
            "[sources.default] is the database of WAYBILL_SOURCE_DSN",
        ),
        (
            '[sources.b]\nstandby = "always"\n[exports.a]\ntable = "a"\nsource = "b"', "2:1",
            "[sources.b] standby must be 'prefer' or 'require'",
        ),
        (
            '[sources.b.together]\nmax_runing = 1\n[exports.a]\ntable = "a"\nsource = "b"', "2:1",
            "unknown key 'max_runing' in [sources.b] together; did you mean 'max_running'?",
        ),
        (
            '[sources.b]\ntogether.max_running = 0\n[exports.a]\ntable = "a"\nsource = "b"', "2:10",
            "[sources.b] together max_running must be at least 1",
        ),
        (
            '[sources.b]\npolit = {}\n[exports.a]\ntable = "a"\nsource = "b"', "2:1",
            "unknown key 'polit' in [sources.b]; did you mean 'polite'?",
        ),
        (
            '[sources.b.polite]\nrows = 1\n[exports.a]\ntable = "a"\nsource = "b"', "2:1",
            "Known here: rows_per_second",
        ),
        (
            '[sources.b.polite]\nhours = "at night"\n[exports.a]\ntable = "a"\nsource = "b"',
            "1:12", "22:00-06:00",
        ),
        ('sources = "b"\n[exports.a]\ntable = "a"', "1:1", "tables such as [sources.reporting]"),
        ('[exports.a]\ntable = "a"\nsource = ""', "3:1", "is empty"),
    ],
)  # fmt: skip
def test_mistake_is_told_once_at_its_place(text: str, at: str, says: str) -> None:
    with pytest.raises(CatalogFileError) as caught:
        parse_catalog(text, name="f")
    assert len(caught.value.problems) == 1, str(caught.value)
    assert str(caught.value).startswith(f"f:{at}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("key", ["dsn", "url", "password", "database_url"])
def test_address_is_no_matter_of_the_catalog_and_never_quoted(key: str) -> None:
    text = f'[sources.b]\n{key} = "postgresql://a:s3cret@h/d"\n[exports.a]\ntable="a"\nsource="b"'
    with pytest.raises(CatalogFileError) as caught:
        parse_catalog(text)
    assert "WAYBILL_SOURCE_DSN_B" in str(caught.value)
    assert "dsn_file" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(CatalogFileError) as caught:
        parse_catalog('sources = { b = "postgresql://a:s3cret@h/d" }')
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "Reporting", "re-porting", "2nd", "a" * 32, "r.x", "ä"])
def test_name_that_no_variable_could_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"a-z, 0-9 or '_'"):
        NamedSource(name)


def test_unknown_and_doubled_sources_of_a_catalog_in_python_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'users': There is no source 'reporting'"):
        Catalog([ExportType("users", USERS, source_name="reporting")])
    with pytest.raises(ConfigurationError, match="declared twice"):
        Catalog(sources=[NamedSource("a"), NamedSource("a")])
    with pytest.raises(ConfigurationError, match="There is no source 'a'"):
        Catalog().of_source("a")


def test_variable_is_the_name_in_capitals() -> None:
    assert variable_of("default") == "WAYBILL_SOURCE_DSN"
    assert variable_of("eu_2") == "WAYBILL_SOURCE_DSN_EU_2"


@pytest.mark.parametrize(
    "address",
    ["postgresql://ann:s3cret@db/shop", "host=db user=ann password=s3cret", "password = s3cret"],
)
def test_address_in_the_place_of_a_files_name_is_refused_and_not_quoted(address: str) -> None:
    with pytest.raises(ConfigurationError, match="Set WAYBILL_SOURCE_DSN_REPORTING") as refused:
        NamedSource("reporting", dsn_file=address)
    assert "s3cret" not in str(refused.value)
    with pytest.raises(ConfigurationError) as refused:
        parse_catalog(TWO.replace("/run/secrets/reporting", address))
    assert "s3cret" not in str(refused.value)
    assert NamedSource("reporting", dsn_file="/run/users/my-password").dsn_file
