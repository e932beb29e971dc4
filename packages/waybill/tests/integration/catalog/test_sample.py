"""The sample users: the same people every time, and as varied as real ones."""

from collections.abc import Callable

import psycopg
import pytest

from waybill.catalog.check import check_catalog
from waybill.catalog.toml import parse_catalog
from waybill.errors import ConfigurationError
from waybill.local.sample import create_users, sample_catalog_toml

Execute = Callable[..., None]
_DIGEST = "SELECT md5(string_agg(u::text, '|' ORDER BY id)) FROM {} u"


def _value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, options="-c TimeZone=UTC") as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_same_seed_gives_the_same_users_whatever_the_count(dsn: str) -> None:
    create_users(dsn, 500)
    create_users(dsn, 30_000, table="more")
    create_users(dsn, 500, table="others", seed=7)
    first = _value(dsn, _DIGEST.format("users"))
    assert first == _value(dsn, _DIGEST.format("(SELECT * FROM more WHERE id <= 500)"))
    assert first != _value(dsn, _DIGEST.format("others"))


def test_users_already_there_are_kept_and_other_counts_replaced(dsn: str) -> None:
    progress: list[tuple[int, int]] = []
    assert create_users(dsn, 25_000, lambda *figures: progress.append(figures)) is True
    assert progress == [(10_000, 25_000), (20_000, 25_000), (25_000, 25_000)]
    assert create_users(dsn, 25_000) is False
    assert create_users(dsn, 10) is True
    assert _value(dsn, "SELECT count(*) FROM users") == 10


def test_table_that_lost_rows_or_was_never_finished_is_made_anew(
    dsn: str, execute: Execute
) -> None:
    create_users(dsn, 100)
    execute("DELETE FROM users WHERE id = 50")
    assert create_users(dsn, 100) is True
    execute("COMMENT ON TABLE users IS 'waybill sample users: incomplete'")
    assert create_users(dsn, 100) is True
    assert _value(dsn, "SELECT count(*) FROM users") == 100


def test_table_of_someone_else_is_never_touched(dsn: str, execute: Execute) -> None:
    execute("CREATE TABLE users (id int)", "INSERT INTO users VALUES (1)")
    with pytest.raises(ConfigurationError, match="waybill did not make it"):
        create_users(dsn, 100)
    assert _value(dsn, "SELECT count(*) FROM users") == 1


def test_no_users_are_a_valid_count_and_fewer_are_not(dsn: str) -> None:
    create_users(dsn, 0)
    assert _value(dsn, "SELECT count(*) FROM users") == 0
    with pytest.raises(ConfigurationError, match="0 or more"):
        create_users(dsn, -1)


def test_new_user_gets_the_next_number(dsn: str, execute: Execute) -> None:
    create_users(dsn, 5)
    execute(
        "INSERT INTO users (public_id, email, full_name, country, balance, is_active, tags,"
        " preferences, created_at) SELECT public_id, email, full_name, country, balance,"
        " is_active, tags, preferences, created_at FROM users WHERE id = 1"
    )
    assert _value(dsn, "SELECT max(id) FROM users") == 6


@pytest.mark.parametrize(
    "condition",
    [
        "phone IS NULL", "phone LIKE '+1555%'", "notes IS NULL", "notes = ''", "notes = 'NULL'",
        "notes = '=SUM(A1)'", "notes LIKE '-%'", "notes LIKE E'%\\r\\n%'", "notes LIKE '@%'",
        "full_name LIKE '%\"%'", "full_name LIKE '%,%'", "full_name ~ '[א-ת]'", "city IS NULL",
        "balance < 0", "balance > 0", "tags = '{}'", "cardinality(tags) > 1", "NOT is_active",
        "preferences #> '{notifications,push}' = 'null'", "birth_date IS NULL",
        "last_login_at IS NULL", "extract(microseconds FROM created_at)::int % 1000 <> 0",
    ],
)  # fmt: skip
def test_a_thousand_users_already_show_every_oddity(sample: str, condition: str) -> None:
    assert _value(sample, f"SELECT count(*) FROM users WHERE {condition}") != 0


@pytest.fixture
def sample(dsn: str) -> str:
    create_users(dsn, 1000)
    return dsn


def test_sample_catalog_fits_the_sample_users(sample: str) -> None:
    findings = check_catalog(parse_catalog(sample_catalog_toml()), sample)
    assert findings == []


def test_numbers_and_names_are_unlikely_to_repeat_in_step(sample: str) -> None:
    # A poor hash would pair each given name with few family names.
    assert _value(sample, "SELECT count(DISTINCT public_id) FROM users") == 1000
    distinct = _value(sample, "SELECT count(DISTINCT full_name) FROM users")
    assert isinstance(distinct, int)
    assert distinct > 800
