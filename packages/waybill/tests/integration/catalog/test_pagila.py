"""A relational database that no one here wrote: inspect, render, load and check Pagila."""

import gzip
import subprocess
from pathlib import Path

import pytest

from waybill.catalog import load_catalog
from waybill.catalog.check import check_catalog
from waybill.catalog.inspect import inspect_database
from waybill.catalog.render import render_toml
from waybill.local.binaries import postgres_binary

PAGILA = Path(__file__).resolve().parents[6] / "shared" / "data" / "pagila.sql.gz"


@pytest.mark.skipif(not PAGILA.exists(), reason=f"the Pagila sample is not at {PAGILA}")
def test_pagila_is_inspected_rendered_loaded_and_checked_without_errors(
    dsn: str, tmp_path: Path
) -> None:
    subprocess.run(
        [postgres_binary("psql"), "--quiet", "--no-psqlrc", dsn],
        input=gzip.decompress(PAGILA.read_bytes()),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    inspection = inspect_database(dsn)
    file = tmp_path / "waybill.toml"
    file.write_text(render_toml(inspection), encoding="utf-8")
    catalog = load_catalog(file)

    assert catalog == inspection.catalog
    assert [name for name in catalog if name.startswith("payment")] == ["payment"]
    assert catalog["film_actor"].key == ("actor_id", "film_id")
    assert catalog["customer"].key == ("customer_id",)
    assert {"film", "rental", "actor_info", "customer_list"} <= set(catalog)

    findings = check_catalog(catalog, dsn)
    assert [finding for finding in findings if finding.severity == "error"] == []
