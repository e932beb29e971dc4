"""The Helm chart, rendered by Helm's own engine: the plain files of deploy/kubernetes, and what its
values make of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from waybill import __version__

from .test_files import DEPLOY, PROCESSES, manifests

CHART = DEPLOY / "helm" / "waybill"
_CUSTOM = {"ScaledObject", "TriggerAuthentication", "PodMonitor", "PrometheusRule"}
"""Of other people's kinds: whoever brings them brings their schemas."""

EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example/waybill", "tag": "1", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "secretName": "settings",
    "env": [{"name": "WAYBILL_LOG_LEVEL", "value": "DEBUG"}],
    "envFrom": [{"secretRef": {"name": "sources"}}],
    "catalog": {"text": '[exports.users]\ntable = "users"\n'},
    "volumes": [{"name": "dsn", "secret": {"secretName": "dsn"}}],
    "volumeMounts": [{"name": "dsn", "mountPath": "/run/secrets", "readOnly": True}],
    "worker": {"concurrency": 4, "terminationGracePeriodSeconds": 60},
    "metrics": {"podMonitor": True, "rules": True, "labels": {"release": "prometheus"}},
    "keda": {"enabled": True, "schema": "exports"},
    "serviceAccountName": "exporter",
    "podAnnotations": {"example.org/a": "b"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "exports", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
LITTLE: dict[str, Any] = {
    "migrate": {"enabled": False},
    "api": {"replicas": 1},
    "worker": {"replicas": 3, "resources": {"limits": {"memory": "4Gi"}}},
    "metrics": {"networkPolicy": False},
}


# Helm is a library in Go, which brings a runtime of its own: in a process of its own.
_HELM = """
import json, sys
from helm_python.chart import Chart, lint
with Chart.load(sys.argv[1]) as chart:
    values = json.loads(sys.argv[2])
    rendered = chart.render(values, name=sys.argv[3], namespace="exports", revision=1)
print(json.dumps([rendered, lint(sys.argv[1], values, strict=True)]))
"""


@cache
def _helm(values: str, release: str) -> tuple[dict[str, str], dict[str, Any]]:
    pytest.importorskip("helm_python")  # not everywhere: it has no wheel for some machines
    command = [sys.executable, "-c", _HELM, str(CHART), values, release]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rendered, linted = json.loads(done.stdout)
    return rendered, linted


def render(values: dict[str, Any] | None = None, release: str = "waybill") -> Any:
    """Return what Helm makes of values, by kind and name."""
    rendered, _ = _helm(json.dumps(values or {}), release)
    found = [
        manifest
        for path, text in rendered.items()
        if not path.endswith("NOTES.txt")
        for manifest in yaml.safe_load_all(text)
        if manifest is not None
    ]
    named = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(named) == len(found)
    return named


def pod(rendered: Any, process: str) -> Any:
    return rendered["Deployment", f"waybill-{process}"]["spec"]["template"]


def comparable(spec: Any) -> Any:
    """Return a specification with quantities in one spelling, without what Kubernetes would fill
    in itself."""
    if isinstance(spec, dict):
        return {key: comparable(value) for key, value in spec.items() if key != "imagePullPolicy"}
    if isinstance(spec, list):
        return [comparable(each) for each in spec]
    return {"1024Mi": "1Gi", "1000m": "1"}.get(spec, spec) if isinstance(spec, str) else spec


def without_labels(spec: Any) -> Any:
    template = {**spec["template"], "metadata": None}
    return comparable({**spec, "selector": None, "template": template})


def validate(manifest: Any) -> None:
    kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_chart_is_of_the_version_that_it_deploys() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__
    assert pod(render(), "api")["spec"]["containers"][0]["image"] == f"waybill:{__version__}"


def test_by_default_it_is_what_the_plain_files_are() -> None:
    rendered = render()
    compared = set()
    for plain in manifests():
        kind, name = plain["kind"], plain["metadata"]["name"]
        if kind == "Job":
            name = "waybill-migrate-1"
        compared.add((kind, name))
        ours = rendered[kind, name]["spec"]
        if kind in {"Deployment", "Job"}:
            assert without_labels(ours) == without_labels(plain["spec"]), name
        elif kind == "NetworkPolicy":
            assert (ours["ingress"], ours["policyTypes"]) == (
                plain["spec"]["ingress"], plain["spec"]["policyTypes"],
            )  # fmt: skip
        elif kind == "PodDisruptionBudget":
            assert {**ours, "selector": None} == {**plain["spec"], "selector": None}
        else:
            assert ours["ports"] == plain["spec"]["ports"]
    assert compared == set(rendered)


@pytest.mark.parametrize("values", [{}, EVERYTHING, LITTLE], ids=["default", "all", "little"])
def test_what_is_rendered_is_what_kubernetes_takes(values: dict[str, Any]) -> None:
    rendered = render(values)
    assert {kind for kind, _ in rendered} >= {"Deployment", "Service", "PodDisruptionBudget"}
    _, linted = _helm(json.dumps(values), "waybill")
    # An icon is what it misses, if anything.
    assert [each for each in linted["messages"] if each["severity"] > 1] == []
    for (kind, _), manifest in rendered.items():
        if kind not in _CUSTOM:
            validate(manifest)
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "waybill"


def test_plain_files_are_what_kubernetes_takes_and_mistakes_are_not() -> None:
    for plain in manifests():
        validate(plain)
    worker = render()["Deployment", "waybill-worker"]
    for mistake in ({"replicas": "one"}, {"replcas": 1}, {"selector": 1}):
        with pytest.raises(kubernetes_validate.ValidationError):
            validate({**worker, "spec": {**worker["spec"], **mistake}})


def test_every_selector_finds_the_pods_of_its_own_release_alone() -> None:
    for release, name in (("waybill", "waybill"), ("eu", "eu-waybill")):
        rendered = render(EVERYTHING, release)
        for process in PROCESSES:
            deployment = rendered["Deployment", f"{name}-{process}"]["spec"]
            wanted = deployment["selector"]["matchLabels"]
            assert wanted.items() <= deployment["template"]["metadata"]["labels"].items()
            assert wanted["app.kubernetes.io/instance"] == release
            # What changes from version to version would forbid the upgrade.
            assert not [each for each in wanted if "version" in each or "chart" in each]
        api = rendered["Deployment", f"{name}-api"]["spec"]["template"]["metadata"]["labels"]
        for kind, other in (("Service", name), ("PodDisruptionBudget", f"{name}-api")):
            selector = rendered[kind, other]["spec"]["selector"]
            assert selector.get("matchLabels", selector).items() <= api.items()
        scaled = rendered["ScaledObject", f"{name}-worker"]["spec"]
        assert scaled["scaleTargetRef"]["name"] == f"{name}-worker"
        trigger = scaled["triggers"][0]["authenticationRef"]["name"]
        assert ("TriggerAuthentication", trigger) in rendered


def test_migration_runs_before_the_processes_of_a_version() -> None:
    annotations = render()["Job", "waybill-migrate-1"]["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "before-hook-creation" in annotations["helm.sh/hook-delete-policy"]
    # What settings name, certificates for one, and nothing that the release itself makes.
    spec = render(EVERYTHING)["Job", "waybill-migrate-1"]["spec"]["template"]["spec"]
    assert spec["volumes"] == EVERYTHING["volumes"]
    assert spec["containers"][0]["volumeMounts"] == EVERYTHING["volumeMounts"]
    assert "Job" not in {kind for kind, _ in render(LITTLE)}


def test_scaling_is_that_of_the_plain_file() -> None:
    text = (DEPLOY / "kubernetes" / "keda.yaml").read_text(encoding="utf-8")
    plain = {each["kind"]: each["spec"] for each in yaml.safe_load_all(text)}
    rendered = render({"keda": {"enabled": True}})
    for kind, name in (
        ("ScaledObject", "waybill-worker"),
        ("TriggerAuthentication", "waybill-queue"),
    ):
        assert rendered[kind, name]["spec"] == plain[kind]
    # Whoever scales decides how many there are.
    assert "replicas" not in rendered["Deployment", "waybill-worker"]["spec"]
    four = render(EVERYTHING)["ScaledObject", "waybill-worker"]["spec"]
    metadata = four["triggers"][0]["metadata"]
    assert metadata["targetQueryValue"] == "4"
    assert " FROM exports.export_jobs " in metadata["query"]


def test_memory_follows_the_number_of_exports_at_a_time() -> None:
    (worker,) = pod(render(EVERYTHING), "worker")["spec"]["containers"]
    assert worker["args"][:3] == ["worker", "--concurrency", "4"]
    assert worker["resources"] == {
        "requests": {"cpu": "2000m", "memory": "1024Mi"},
        "limits": {"memory": f"{480 + 4 * 272}Mi"},
    }
    (worker,) = pod(render(LITTLE), "worker")["spec"]["containers"]
    assert worker["resources"] == {"limits": {"memory": "4Gi"}}


def test_alerts_are_the_file_that_promtool_tests() -> None:
    text = (DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8")
    # A chart reads nothing outside of its folder, and not every checkout keeps links.
    copied = (CHART / "files" / "rules.yml").read_text(encoding="utf-8")
    assert copied == text, "run: cp deploy/prometheus/rules.yml deploy/helm/waybill/files/"
    rules = yaml.safe_load(text)
    rendered = render(EVERYTHING)
    assert rendered["PrometheusRule", "waybill"]["spec"] == rules
    assert rendered["PrometheusRule", "waybill"]["metadata"]["labels"]["release"] == "prometheus"
    # They ask for jobs by these names, which a PodMonitor would call otherwise.
    (endpoint,) = rendered["PodMonitor", "waybill"]["spec"]["podMetricsEndpoints"]
    (relabeling,) = endpoint["relabelings"]
    asked = set(re.findall(r'job="(\w+-\w+)"', json.dumps(rules).replace('\\"', '"')))
    assert asked == {relabeling["replacement"].replace("$1", each) for each in PROCESSES}


def test_no_secret_is_in_it_and_all_of_them_come_by_name() -> None:
    rendered = render(EVERYTHING)
    assert "Secret" not in {kind for kind, _ in rendered}
    for process in PROCESSES:
        (container,) = pod(rendered, process)["spec"]["containers"]
        assert [each["secretRef"]["name"] for each in container["envFrom"]] == [
            "settings", "sources",
        ]  # fmt: skip


def test_changed_catalog_starts_the_processes_anew() -> None:
    once, again = (
        render({**EVERYTHING, "catalog": {"text": text}}) for text in ("[exports]\n", "# new\n")
    )
    assert once["ConfigMap", "waybill-catalog"]["data"] == {"waybill.toml": "[exports]\n"}
    for process in PROCESSES:
        before, after = (pod(each, process)["metadata"]["annotations"] for each in (once, again))
        assert before["checksum/catalog"] != after["checksum/catalog"]


def test_one_api_process_can_be_taken_away() -> None:
    budgets = {name for kind, name in render(LITTLE) if kind == "PodDisruptionBudget"}
    assert budgets == {"waybill-worker"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"worker": {"terminationGracePeriodSeconds": 30}}, "terminationGracePeriodSeconds"),
        ({"worker": {"concurrency": 0}}, "concurrency"),
        ({"worker": {"concurency": 4}}, "concurency"),
        ({"secretName": ""}, "secretName"),
        ({"metrics": {"port": 80}}, "port"),
        ({"catalog": {"configMap": ""}}, "name the config map"),
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        render(values)
    assert says in caught.value.stderr


@pytest.mark.parametrize(("keda", "target"), [({}, "2"), ({"exportsPerWorker": 6}, "6")])
def test_worker_counts_for_as_many_exports_as_it_is_said_to_run(
    keda: dict[str, Any], target: str
) -> None:
    rendered = render({"keda": {"enabled": True, **keda}})
    scaled = rendered["ScaledObject", "waybill-worker"]
    assert scaled["spec"]["triggers"][0]["metadata"]["targetQueryValue"] == target


@pytest.mark.parametrize(
    "values",
    [
        {"keda": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}},
        {"metrics": {"port": 8000}},  # the API's own
        {"env": [{"name": "WAYBILL_METRICS_PORT", "value": "1"}]},
    ],
    ids=["scaling", "port", "variable"],
)
def test_values_that_contradict_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        render(values)


def test_image_may_be_named_by_its_digest() -> None:
    digest = f"sha256:{'0' * 64}"
    (api,) = pod(render({"image": {"tag": digest}}), "api")["spec"]["containers"]
    assert api["image"] == f"waybill@{digest}"
