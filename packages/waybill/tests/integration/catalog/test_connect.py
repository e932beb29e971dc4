"""Servers that do not answer, and servers that say no."""

import socket
from collections.abc import Callable

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from waybill.catalog import connect
from waybill.catalog.check import check_catalog
from waybill.catalog.inspect import inspect_database
from waybill.catalog.model import Catalog
from waybill.errors import ConfigurationError, SourceUnavailable

Execute = Callable[..., None]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize("look", [inspect_database, lambda dsn: check_catalog(Catalog(), dsn)])
def test_port_without_a_server_is_named_and_the_password_is_not(
    look: Callable[[str], object], closed_port: int
) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        look(f"postgresql://shop:hunter2@127.0.0.1:{closed_port}/shop")
    assert f"127.0.0.1:{closed_port}" in str(caught.value)
    assert "check host and port" in str(caught.value)
    assert "hunter2" not in str(caught.value) + str(caught.value.__cause__)


def test_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "CONNECT_TIMEOUT_SECONDS", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(SourceUnavailable, match=f"127.0.0.1:{port}.*no answer within"):
            inspect_database(f"postgresql://shop@127.0.0.1:{port}/shop")


def test_unknown_host_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"db\.invalid:5432.*no host of that name"):
        inspect_database("postgresql://shop:hunter2@db.invalid/shop")


def test_missing_database_is_named(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match="no database 'nowhere'"):
        inspect_database(make_conninfo(dsn, dbname="nowhere"))


@pytest.mark.parametrize("user", ["waybill", "nobody_at_all"])
def test_wrong_user_or_password_is_called_so_and_not_shown(dsn: str, user: str) -> None:
    # PostgreSQL does not tell which of the two is wrong, on purpose.
    with pytest.raises(ConfigurationError, match="user or password is wrong") as caught:
        inspect_database(make_conninfo(dsn, user=user, password="hunter2"))
    assert "hunter2" not in str(caught.value) + str(caught.value.__cause__)


def test_role_that_may_not_log_in_is_called_so(dsn: str, reader: str, execute: Execute) -> None:
    role = conninfo_to_dict(reader)["user"]
    execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(str(role))))
    with pytest.raises(ConfigurationError, match="may not log in"):
        inspect_database(reader)
