"""Each deliberately broken set-up is found, in a sentence of its own with its remedy, and nothing
else is found with it that is not so.

``python -m packages.waybill.tests.integration.doctor.test_doctor`` writes the table of
docs/doctor.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from waybill.api.sign_in_check import AREA as SIGN_IN
from waybill.cli.doctor import VARIABLES
from waybill.doctor.own_database import RIGHTS
from waybill.doctor.registry import AREAS
from waybill.local.faults.brokers import Broker
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.storage.s3.storage import S3Storage

from ...unit.cli.test_mistakes import _nothing, end_of
from .broken import BROKEN as FIRST
from .broken import House
from .broken_brokers import BROKERS
from .broken_databases import DATABASES
from .broken_services import SERVICES
from .more_broken import MORE

BROKEN = FIRST | MORE | BROKERS | DATABASES | SERVICES

GUIDE = Path(__file__).parents[5] / "docs" / "doctor.md"
STATUS = {"ok": 0, "note": 0, "warning": 0, "away": 75, "error": 78}
SAID = {
    "mail server that wants a name": "wants us to sign in",
    "mail server whose certificate has expired": "it has expired",
    "mail server without TLS": "does not offer STARTTLS",
    "mail server that refuses our sender": "from our sender",
    "database whose role may not connect": "the role may not connect",
    "source whose role may not connect": "the role may not connect",
    "storage asked by TLS that speaks none": "No TLS",
    "bucket of another region": "eu-west-1",
    "broker whose user may not even PING": "PING",
    "broker whose user may not write to our keys": "may not write to keys",
    "broker whose user may not use our keys": "LPUSH",
    "broker whose user may not end transactions": "EXEC",
    "broker without a command": "does not have EVALSHA",
}
"""What tells those apart that one check finds."""
SECRETS = ("doctor_role:doctor", ":doctor@", "a-secret-of-s3")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("doctor") / "broker") as broker:
        yield broker


@pytest.fixture(scope="module")
def house(
    local_stack: LocalStack,
    template: str,
    broker: Broker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    """One for all: each set-up is undone at its end."""
    folder = tmp_path_factory.mktemp("house")
    folder.chmod(0o755)  # PgBouncer runs as somebody else
    (folder / "waybill.toml").write_text('[exports.users]\ntable = "public.users"\nkey = "id"\n')
    with temporary_database(local_stack, template) as dsn:
        house = House(local_stack, dsn, folder, broker)
        house.sql("CREATE TABLE was AS SELECT version_num AS saved FROM waybill_migrations")
        yield house


def look(house: House, settings: dict[str, str], *arguments: str) -> tuple[int, Any, str]:
    works = {
        **house.stack.as_environment(),
        "WAYBILL_DATABASE_URL": house.dsn,
        "WAYBILL_SOURCE_DSN": house.dsn,
        "WAYBILL_REDIS_URL": house.broker.url(),
        "WAYBILL_DEVELOPMENT_TOKEN": "token",
    }
    given = {name: value for name, value in (works | settings).items() if value != "-"}
    status, out, err = end_of(["doctor", *arguments], given, _nothing, house.folder)
    assert err == ""
    return status, json.loads(out) if "--json" in arguments else None, out


@pytest.mark.parametrize("name", BROKEN)
def test_broken_set_up_is_found_in_its_own_sentence(house: House, name: str) -> None:
    check, verdict, broken = BROKEN[name]
    area = check.partition(".")[0]
    with broken(house) as settings:
        status, report, said = look(house, settings, "--json", "--only", area)
    found = {each["check"]: each for each in report["findings"]}
    assert check in found, report
    assert found[check]["verdict"] == verdict, report
    # One thing is broken; the others may be worse off for it, in the same area, never better.
    assert status == STATUS[report["verdict"]] >= STATUS[verdict]
    assert 15 < len(found[check]["sentence"]) < 600
    assert SAID.get(name, "") in found[check]["sentence"]
    assert found[check]["remedy"] or verdict in {"note", "error"}
    assert not any(secret in said for secret in SECRETS)
    assert "Traceback" not in said
    assert f"{area}.unexpected" not in found


def test_service_that_works_is_healthy_and_leaves_nothing_behind(
    house: House, storage: S3Storage
) -> None:
    status, report, _ = look(house, {}, "--json")
    assert (status, report["counts"]["error"], report["counts"]["away"]) == (0, 0, 0), report
    areas = {each["area"] for each in report["findings"]}
    assert areas == {VARIABLES, *AREAS, SIGN_IN} - {"mail", "traces"}  # which are off
    checks = {each["check"] for each in report["findings"]}
    assert {f"storage.{each}" for each in ("put", "head", "get", "link", "delete")} <= checks
    assert {
        f"storage.{each}" for each in ("multipart", "part", "complete", "abort", "list")
    } <= checks
    assert list(storage.list_keys("exports/waybill-doctor")) == []

    status, _, text = look(house, {"WAYBILL_CLOCK_OFFSET_SECONDS": "60"})
    assert status == 0
    assert "warning  settings: waybill's clock is moved by 60 s." in text
    assert text.splitlines()[-1].startswith("doctor: ")
    assert look(house, {"WAYBILL_CLOCK_OFFSET_SECONDS": "60"}, "--strict")[0] == 1


def test_area_that_is_none_is_a_mistake(house: House) -> None:
    status, _, err = end_of(["doctor", "--only", "storge"], {}, _nothing, house.folder)
    assert status == 64
    assert "storage" in err


def test_rights_are_asked_for_every_table(house: House) -> None:
    with psycopg.connect(house.dsn) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'waybill'"
            " AND tablename NOT IN ('waybill_migrations', 'users', 'was')"
        ).fetchall()
    assert set(RIGHTS) == {name for (name,) in rows}


def test_guide_lists_every_broken_set_up() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert table() in text
    areas = set(re.findall(r"^\| `(\w+)` \|", text.split("<!-- areas -->")[1], re.M))
    assert areas == {VARIABLES, *AREAS, SIGN_IN}


def table() -> str:
    rows = [f"| {name} | `{check}` | {verdict} |" for name, (check, verdict, _) in BROKEN.items()]
    return "\n".join(["| broken | check | verdict |", "|---|---|---|", *rows]) + "\n"


def _write_guide() -> None:
    begin, end = "<!-- broken:begin -->\n", "<!-- broken:end -->"
    before, _, rest = GUIDE.read_text(encoding="utf-8").partition(begin)
    GUIDE.write_text(before + begin + table() + end + rest.partition(end)[2], encoding="utf-8")


if __name__ == "__main__":
    _write_guide()
