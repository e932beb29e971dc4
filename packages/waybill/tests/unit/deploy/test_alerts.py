"""Every alert can be heard, looked up and acted on; every figure that is asked for exists.

``python -m packages.waybill.tests.unit.deploy.test_alerts`` writes the table of docs/operating.md.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from waybill.metrics.definitions import METRICS

ROOT = Path(__file__).parents[5]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
GUIDE = ROOT / "docs" / "operating.md"
DASHBOARD = ROOT / "deploy" / "grafana" / "waybill.json"
SOURCE = ROOT / "packages" / "waybill" / "src" / "waybill"
OTHERS = {"up", "process_resident_memory_bytes"}
_WORDS = re.compile(r"\b(?:waybill[:_][a-z0-9_:]+|up|process_[a-z_]+)\b")


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def known() -> set[str]:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    return {name for each in METRICS.values() for name in each.series} | recorded | OTHERS


def asked_for(expression: str) -> set[str]:
    without_strings = re.sub(r'"[^"]*"', "", expression)
    return set(_WORDS.findall(without_strings))


def queries() -> dict[str, str]:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in document["panels"]
        for target in panel["targets"]
    }


def test_rules_hold_on_their_causes_and_on_a_quiet_day(
    find_program: Callable[[str, str], str],
) -> None:
    promtool = find_program("promtool", "prometheus")
    for arguments in (
        ["check", "rules", RULES],
        ["test", "rules", RULES.with_name("rules.test.yml")],
    ):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    config = [promtool, "check", "config", "--syntax-only", RULES.with_name("prometheus.yml")]
    done = subprocess.run(config, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried() -> None:
    tried = RULES.with_name("rules.test.yml").read_text(encoding="utf-8")
    for alert in alerts():
        assert f'alertname="{alert["alert"]}", alertstate="firing", severity=' in tried


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule["alert"])
def test_alert_says_how_bad_it_is_and_where_to_read_on(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert len(alert["annotations"]["summary"]) > 20
    assert alert["annotations"]["runbook_url"].endswith(f"/docs/operating.md#{name.lower()}")
    entry = GUIDE.read_text(encoding="utf-8").split(f"\n### {name}\n")
    assert len(entry) == 2, "it has one entry in the runbook"
    text = entry[1].partition("\n###")[0]
    assert text.strip().startswith(f"*{alert['labels']['severity']}.*")
    assert len(text) > 100


def test_every_entry_of_the_runbook_is_an_alert() -> None:
    runbook = GUIDE.read_text(encoding="utf-8").split("\n## Runbook\n")[1]
    entries = re.findall(r"^### (\w+)$", runbook, re.M)
    assert sorted(entries) == sorted(alert["alert"] for alert in alerts())


def test_every_figure_asked_for_exists() -> None:
    for rule in rules():
        assert asked_for(rule["expr"]) <= known(), rule
    for name, query in queries().items():
        assert asked_for(query), name
        assert asked_for(query) <= known(), name
    named = set(re.findall(r"`(waybill_[a-z_]+)`", GUIDE.read_text(encoding="utf-8")))
    assert named <= known() | set(METRICS)


def test_every_figure_is_counted_somewhere() -> None:
    from waybill.metrics import definitions

    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in SOURCE.rglob("*.py")
        if path.name != "definitions.py"
    )
    names = {name for name, value in vars(definitions).items() if value in METRICS.values()}
    assert len(names) == len(METRICS)
    for name in names:
        assert re.search(rf"\b(m\.)?{name}\b", code), name


def test_dashboard_is_one_that_grafana_takes() -> None:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert document["schemaVersion"] >= 39
    assert document["uid"] == "waybill"
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, "panels lie on each other"
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert {target["refId"] for target in panel["targets"]}
    shown = {word for query in queries().values() for word in asked_for(query)}
    assert len(shown) > 20


def table() -> str:
    rows = [
        f"| `{metric.series[0] if metric.kind != 'histogram' else metric.name}` | {metric.kind} | "
        f"{', '.join(metric.labels)} | {metric.help} |"
        for metric in METRICS.values()
    ]
    return "\n".join(["| figure | kind | labels | what |", "|---|---|---|---|", *rows]) + "\n"


def test_guide_lists_every_figure() -> None:
    assert table() in GUIDE.read_text(encoding="utf-8")


def _write_guide() -> None:
    begin, end = "<!-- metrics:begin -->\n", "<!-- metrics:end -->"
    before, _, rest = GUIDE.read_text(encoding="utf-8").partition(begin)
    GUIDE.write_text(before + begin + table() + end + rest.partition(end)[2], encoding="utf-8")


if __name__ == "__main__":
    _write_guide()
