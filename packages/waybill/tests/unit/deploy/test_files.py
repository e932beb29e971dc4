"""What deploy/ promises, and what the code keeps, are the same numbers."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from waybill import __version__
from waybill.cli.settings import reference
from waybill.jobs.celery_app import SOFT_SHUTDOWN_SECONDS

DEPLOY = Path(__file__).parents[5] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PROCESSES = ("api", "worker", "scheduler")


def manifests() -> list[dict[str, Any]]:
    text = (DEPLOY / "kubernetes" / "waybill.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


def deployment(process: str) -> Any:
    name = f"waybill-{process}"
    return next(
        m for m in manifests() if m["kind"] == "Deployment" and m["metadata"]["name"] == name
    )


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def test_compose_needs_no_file_that_is_missing() -> None:
    # What may be exported, and the passwords, are the operator's.
    given = {"./waybill.toml", "compose.env"}
    named = {
        volume.split(":")[0]
        for service in compose()["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith(".")
    }
    assert named
    assert [each for each in named - given if not (DEPLOY / each).is_file()] == []
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert all(Path(each).name in text.split("x-waybill:")[0] for each in given)


def test_compose_asks_for_variables_that_its_example_has() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+):\?\}", text))
    example = (DEPLOY / "compose.env.example").read_text(encoding="utf-8")
    assert asked
    assert asked <= set(re.findall(r"^(\w+)=", example, re.M))
    assert "--env-file deploy/compose.env" in text


def test_compose_tells_its_storage_the_keys_that_the_service_has() -> None:
    content = compose()["configs"]["s3"]["content"]
    (identity,) = json.loads(content)["identities"]
    assert identity["credentials"] == [
        {
            "accessKey": "${WAYBILL_S3_ACCESS_KEY_ID:?}",
            "secretKey": "${WAYBILL_S3_SECRET_ACCESS_KEY:?}",
        }
    ]
    assert compose()["services"]["s3"]["configs"] == [
        {"source": "s3", "target": "/etc/seaweedfs/s3.json"}
    ]
    for process in PROCESSES:
        assert "bucket" in compose()["services"][process]["depends_on"]


def test_units_are_ones_that_systemd_takes(
    tmp_path: Path, find_program: Callable[[str, str], str]
) -> None:
    assert [unit.stem for unit in UNITS] == [f"waybill-{each}" for each in sorted(PROCESSES)]
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/opt/waybill/bin/waybill", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        [find_program("systemd-analyze", "systemd"), "verify", *sorted(tmp_path.iterdir())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_worker_is_waited_for_until_it_gave_its_exports_back() -> None:
    longer = SOFT_SHUTDOWN_SECONDS + 10
    spec = deployment("worker")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] >= longer
    assert int(compose()["services"]["worker"]["stop_grace_period"].rstrip("s")) >= longer
    unit = (DEPLOY / "systemd" / "waybill-worker.service").read_text(encoding="utf-8")
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M)
    assert stop is not None
    assert int(stop[1]) >= longer


@pytest.mark.parametrize("process", PROCESSES)
def test_process_runs_as_nobody_on_a_read_only_file_system(process: str) -> None:
    pod = deployment(process)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert container["args"][0] == process
    assert container["image"] == f"waybill:{__version__}"
    assert "livenessProbe" in container
    service = compose()["services"][process]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["image"] == f"waybill:{__version__}"


def test_readiness_and_liveness_are_apart() -> None:
    (api,) = deployment("api")["spec"]["template"]["spec"]["containers"]
    assert api["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert api["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_disruptions_leave_somebody() -> None:
    budgets = {
        m["metadata"]["name"]: m["spec"] for m in manifests() if m["kind"] == "PodDisruptionBudget"
    }
    assert budgets["waybill-api"]["minAvailable"] < deployment("api")["spec"]["replicas"]
    assert budgets["waybill-worker"]["maxUnavailable"] == 1
    for process in ("api", "worker"):
        wanted = deployment(process)["spec"]["selector"]["matchLabels"]
        assert budgets[f"waybill-{process}"]["selector"]["matchLabels"] == wanted


def test_service_leads_to_the_api_and_not_to_its_figures() -> None:
    service = next(m for m in manifests() if m["kind"] == "Service")
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]


def test_every_variable_that_is_named_is_a_setting() -> None:
    known = {variable for variable, _, _ in reference()}
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix in {".yaml", ".example", ""}:
            named = set(re.findall(r"\bWAYBILL_[A-Z0-9_]+\b", path.read_text(encoding="utf-8")))
            assert named <= known, path


def test_image_is_made_in_two_stages_and_owns_nothing() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    assert len(re.findall(r"^FROM ", text, re.M)) == 2
    assert "--require-hashes -r requirements/runtime.txt" in text
    last = text.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001", last, re.M)
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M):
        for each in source.split():
            assert (DEPLOY.parent / each).exists(), each
