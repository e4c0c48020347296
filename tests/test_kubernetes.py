"""The Kubernetes manifests: against Kubernetes's own schemas, the `restricted` standard, and what the code has."""

import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from service.settings import Settings
from tests.pages import ROOT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kubernetes_validate

PLACE = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.30", "1.34")  # the oldest that we know of somebody having, and one of now
OVERLAYS = sorted(path.name for path in (PLACE / "overlays").iterdir())


def documents(path: Path) -> list[dict[str, Any]]:
    """What a file holds."""
    return [document for document in YAML(typ="safe").load_all(path) if document]


def written() -> list[dict[str, Any]]:
    """Every resource of every file, kustomize's own files left out."""
    files = [path for path in PLACE.rglob("*.yaml") if path.name != "kustomization.yaml"]
    return [document for path in files for document in documents(path)]


def rendered(overlay: str) -> list[dict[str, Any]]:
    """What would be applied; kubectl carries kustomize."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    command = ["kubectl", "kustomize", str(PLACE / "overlays" / overlay)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [document for document in YAML(typ="safe").load_all(run.stdout) if document]


def name(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def pods(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Pod specs by the name of what makes them."""
    return {name(each): each["spec"]["template"]["spec"] for each in found if "template" in each.get("spec", {})}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", written(), ids=name)
def test_each_manifest_fits_its_schema(document: dict[str, Any], version: str) -> None:
    """Unknown fields included; KEDA's resource is not of Kubernetes, and has a test of its own."""
    if document["apiVersion"].startswith("keda.sh/"):
        return
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_render_to_what_fits(overlay: str) -> None:
    """All patches found their targets; images, namespace and references are whole."""
    found = rendered(overlay)
    for document in found:
        if not document["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "lesion"
    for spec in pods(found).values():
        volumes = {volume["name"] for volume in spec["volumes"]} if "volumes" in spec else set()
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert not container["image"].startswith("lesion-"), "an image has a registry and a version"
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted - {"database"} <= volumes


def test_uploads_on_a_volume_reach_all_who_read_them() -> None:
    """API and inspector may write, as the inspector removes what it refuses; workers read."""
    found = pods(rendered("one-cluster"))
    for kind, reads_only in {"api": None, "inspector": None, "worker": True}.items():
        spec = found[f"Deployment {kind}"]
        [mount] = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "data"]
        [volume] = [each for each in spec["volumes"] if each["name"] == "data"]
        assert (mount["mountPath"], mount.get("readOnly")) == ("/data", reads_only)
        assert volume["persistentVolumeClaim"] == {"claimName": "uploads"}


@pytest.mark.parametrize(("kind", "spec"), pods(written()).items())
def test_every_pod_is_restricted(kind: str, spec: dict[str, Any]) -> None:
    """What the pod security standard `restricted` asks for, and more: nothing writable, no token, bounded memory."""
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    assert all(not volume.keys() & {"hostPath"} for volume in spec.get("volumes", []))
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


def test_probes_ask_what_the_service_answers() -> None:
    """Alive by /healthz alone: a database that is away must not have API pods restarted."""
    from service.app import create_app

    [container] = pods(written())["Deployment api"]["containers"]
    paths = create_app(Settings()).openapi()["paths"]
    probes = {kind: container[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert probes == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert set(probes.values()) <= set(paths)


def test_commands_and_settings_are_ours() -> None:
    """Each `lesion …` parses, and each LESION_ variable is a setting."""
    from service.cli import app

    known: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    commands = [
        container["command"][1:]
        for spec in pods(written()).values()
        for container in [*spec["containers"], *spec.get("initContainers", [])]
        if container.get("command", [""])[0] == "lesion"
    ]
    assert {tuple(command) for command in commands} == {("migrate",), ("worker",), ("worker", "--inspect")}
    for command, *options in commands:
        known[command].make_context(command, options)
    text = "\n".join(path.read_text() for path in PLACE.rglob("*.yaml"))
    assert set(re.findall(r"^ *(LESION_\w+):|/data/(LESION_\w+)", text, re.MULTILINE))
    named = set(re.findall(r"LESION_[A-Z_]+", text))
    assert named <= {f"LESION_{field.upper()}" for field in Settings.model_fields}


def test_network_policies_meet() -> None:
    """Whoever is let in by one policy is let out by another, port by port; nothing is open that nobody asked for."""
    policies = {each["metadata"]["name"]: each["spec"] for each in written() if each["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
        for each in written()
        if "template" in each.get("spec", {})
    }
    for server, port in (("valkey", 6379), ("postgres", 5432)):
        [let_in] = policies[server]["ingress"]
        callers = let_in["from"][0]["podSelector"]["matchExpressions"][0]["values"]
        let_out = policies[f"ours-to-{server}"]
        assert let_out["podSelector"]["matchExpressions"][0]["values"] == callers
        assert [each["port"] for each in let_in["ports"]] == [port]
        assert [each["port"] for each in let_out["egress"][0]["ports"]] == [port]
        assert set(callers) == labels - {"valkey", "postgres"}


def test_workers_are_scaled_by_figures_that_are_told() -> None:
    """KEDA's trigger names a workload that is there, and metrics and states that /metrics has."""
    from service import metrics

    [scaled] = [each for each in written() if each["apiVersion"] == "keda.sh/v1alpha1"]
    spec = scaled["spec"]
    assert f"Deployment {spec['scaleTargetRef']['name']}" in pods(written())
    [trigger] = spec["triggers"]
    assert set(trigger["metadata"]) == {"serverAddress", "query", "threshold"}
    asked = re.findall(r'(\w+)\{state="(\w+)"\}', trigger["metadata"]["query"])
    told = (ROOT / "service/metrics.py").read_text()
    assert asked
    for metric, state in asked:
        assert f'"{metric}"' in told
        assert state in metrics.STATES
    assert 0 < spec["minReplicaCount"] <= spec["maxReplicaCount"]
