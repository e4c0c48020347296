"""Bad input is refused with 4xx and a problem that says what to do; nothing is stored, and the worker lives on."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from service import broker
from tests.conftest import wait_until
from tests.promises import misdeeds
from tests.promises.misdeeds import DATASET, EXAMPLES, MODEL, Files, good, npz, one, zipped
from tests.stack import EVALUATIONS, Stack, running

Expected = tuple[int, str, str]  # status, type, and what the detail says


def apart(location: str, *names: str) -> Callable[[], Files]:
    """A model whose weights lie at `location`, sent with its weights under each of these names."""

    def files() -> Files:
        graph, weights = misdeeds.apart(location)
        return [("model.onnx", graph), *((name, weights) for name in names)]

    return files


BAD_MODELS: dict[str, tuple[Callable[[], Files], Expected]] = {
    "truncated": (one(lambda: MODEL.read_bytes()[:-1000]), (422, "model-malformed", "again")),
    "bits flipped": (one(misdeeds.flipped), (422, "model-malformed", "again")),
    "a pickle": (one(misdeeds.a_pickle), (415, "unsupported-format", "torch.onnx.export")),
    "a state dict": (one(misdeeds.state_dict), (415, "unsupported-format", "torch.onnx.export")),
    "empty": (one(lambda: b""), (422, "validation-error", "empty")),
    "no unit": (one(misdeeds.no_unit), (422, "model-unsupported", "unit")),
    "no class output": (one(misdeeds.no_class_output), (422, "model-unsupported", "26, 26")),
    "a custom operator": (one(misdeeds.custom_operator), (422, "operator-not-allowed", "com.example")),
    "weights that did not come along": (apart("weights.bin"), (422, "external-data-forbidden", "weights.bin")),
    "weights of another name": (apart("weights.bin", "other.bin"), (422, "external-data-forbidden", "weights.bin")),
    "weights of the machine": (apart("/etc/passwd", "passwd"), (422, "external-data-forbidden", "/etc/passwd")),
    "weights above the upload": (apart("../up.bin", "up.bin"), (422, "external-data-forbidden", "../up.bin")),
    "a file name that climbs": (apart("up.bin", "../up.bin"), (422, "validation-error", "../up.bin")),
    "weights in a zip that climb": (
        one(lambda: zipped({"m.onnx": misdeeds.apart("../up.bin")[0], "../up.bin": b"w"})),
        (422, "external-data-forbidden", "../up.bin"),
    ),
    "two networks": (
        lambda: [("a.onnx", misdeeds.mlp().SerializeToString()), ("b.onnx", MODEL.read_bytes())],
        (415, "unsupported-format", "b.onnx"),
    ),
}

BAD_DATASETS: dict[str, tuple[Callable[[], bytes], Expected]] = {
    "objects": (
        lambda: npz(**good() | {"y": np.array([{}] * EXAMPLES, object)}),
        (422, "dataset-malformed", "objects"),
    ),
    "asks for 32 GiB": (misdeeds.asks_for_32_gib, (422, "dataset-malformed", "34,359,738,368 bytes")),
    "a zip bomb": (misdeeds.zip_bomb, (422, "dataset-malformed", "x.npy")),
    "parquet garbage": (lambda: b"PAR1" + b"\xff" * 100 + b"PAR1", (422, "dataset-malformed", "arquet")),
    "a safetensors bomb": (misdeeds.safetensors_bomb, (422, "dataset-malformed", "header")),
    "a tensor beyond the end": (misdeeds.safetensors_beyond, (422, "dataset-malformed", "x")),
    "CSV that is ragged": (
        lambda: b"a,b,label\n1,2,0\n1,2\n",
        (422, "dataset-malformed", "#3: Expected 3 columns, got 2"),
    ),
    "x of another shape": (lambda: npz(**good() | {"x": good()["x"][:, 0, 1:]}), (422, "dataset-mismatch", "[27, 28]")),
    "NaN": (lambda: npz(**good() | {"x": np.full_like(good()["x"], np.nan)}), (422, "dataset-malformed", "NaN")),
    "label 10 of 10 classes": (lambda: npz(**good() | {"y": good()["y"] + 1}), (422, "dataset-mismatch", "label 10")),
    "lengths that differ": (lambda: npz(**good() | {"y": good()["y"][1:]}), (422, "dataset-malformed", "63")),
    "a pickle": (misdeeds.a_pickle, (415, "unsupported-format", "savez")),
    "truncated": (lambda: npz(**good())[:-100], (422, "dataset-malformed", "again")),
}

BAD_READINGS: dict[str, tuple[Callable[[], bytes], dict[str, Any], str, str]] = {
    "an image bomb": (misdeeds.image_bomb, {"resize": [28, 28]}, "dataset-too-large", "pixels"),
    "a picture that is none": (
        lambda: zipped({"cat/1.png": b"<svg/>", "dog/2.png": b""}),
        {"resize": [28, 28]},
        "dataset-malformed",
        "1.png",
    ),
    "pictures of another size": (
        lambda: zipped({"cat/1.png": misdeeds.png(64, 48), "dog/2.png": misdeeds.png(64, 48)}),
        {"channels": "L"},
        "dataset-mismatch",
        "resize",
    ),
    "a layout that is not theirs": (lambda: npz(**good()), {"data_layout": "NHWC"}, "dataset-mismatch", "[28, 1, 28]"),
    "a crop beyond the edge": (lambda: npz(**good()), {"crop": 32}, "dataset-mismatch", "28 x 28"),
}

BAD_CONFIGS: dict[str, Expected] = {
    "{": (422, "validation-error", ""),
    "[]": (422, "validation-error", ""),
    '{"speed": 1}': (422, "validation-error", "/config/speed"),
    '{"estimator": "grid", "precision": 0.01}': (422, "validation-error", "precision"),
    '{"scope": "layer", "site": "nowhere"}': (422, "validation-error", "nowhere"),
    '{"sites": ["block7*"]}': (422, "validation-error", "block7*"),
    '{"output": "probabilities"}': (422, "validation-error", "probabilities"),
    '{"inputs": {"ids": "x"}}': (422, "validation-error", "ids"),
    '{"inputs": {"x": "pixels"}}': (422, "dataset-mismatch", "It has: x, y"),
    '{"labels": "target"}': (422, "dataset-mismatch", "It has: x, y"),
    '{"metric": "top_k", "k": 10}': (422, "validation-error", "below 10"),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[Stack]:
    """One service for all cases: what one of them breaks, the next ones would notice."""
    folder = tmp_path_factory.mktemp("bad")
    with running(folder, f"sqlite:///{folder}/lesion.db", valkey) as stack:
        stack.worker(broker.INSPECTIONS)
        stack.worker(broker.EVALUATIONS)
        yield stack


def post(stack: Stack, model: Files, dataset: bytes, config: str = "{}") -> Any:
    files = [*(("model", file) for file in model), ("dataset", ("dataset", dataset))]
    return stack.client.post(EVALUATIONS, files=files, data={"config": config})


def standing(stack: Stack) -> dict[str, list[str]]:
    """All that the service keeps: rows by their ids, and files by their names."""
    kept = {
        noun: [row["id"] for row in stack.client.get(f"/v1/{noun}").json()["data"]]
        for noun in ("models", "datasets", "evaluations")
    }
    places = [path for folder in ("blobs", "scratch") for path in (stack.settings.data / folder).rglob("*")]
    return {**kept, "files": sorted(path.name for path in places if path.is_file())}


def assert_refused(stack: Stack, expected: Expected, model: Files, dataset: bytes, config: str = "{}") -> None:
    """Post them; the answer is this problem, and afterwards all stands as before."""
    before, (status, kind, says) = standing(stack), expected
    answer = post(stack, model, dataset, config)
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json", body
    assert (answer.status_code, body["type"]) == (status, f"/problems/{kind}"), body
    assert says in body["detail"], body
    wait_until(lambda: standing(stack) == before, "nothing is left")


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_model_is_refused(stack: Stack, name: str) -> None:
    """A model that cannot be scored is refused at the door, together with the dataset that came with it."""
    make, expected = BAD_MODELS[name]
    assert_refused(stack, expected, make(), npz(**good()))


@pytest.mark.parametrize("name", BAD_DATASETS)
def test_bad_dataset_is_refused(stack: Stack, name: str) -> None:
    """A dataset that cannot be used is refused at the door, together with the model that came with it."""
    make, expected = BAD_DATASETS[name]
    assert_refused(stack, expected, [("model.onnx", MODEL.read_bytes())], make())


@pytest.mark.parametrize("config", BAD_CONFIGS)
def test_bad_config_is_refused(stack: Stack, config: str) -> None:
    """Unknown, contradictory or unreadable config is refused; what was uploaded with it does not stay."""
    assert_refused(stack, BAD_CONFIGS[config], [("model.onnx", MODEL.read_bytes())], npz(**good()), config)


def test_metric_without_labels_is_refused(stack: Stack) -> None:
    """Accuracy of nothing is no accuracy; the answer names what to do instead."""
    expected = (422, "dataset-mismatch", "agreement")
    model = [("model.onnx", MODEL.read_bytes())]
    assert_refused(stack, expected, model, npz(x=good()["x"]), '{"metric": "accuracy"}')


@pytest.mark.parametrize("name", BAD_READINGS)
def test_what_only_reading_shows_ends_the_evaluation(stack: Stack, name: str) -> None:
    """Pictures are decoded when they are needed: the evaluation fails with the reason, and no worker is lost."""
    make, preprocessing, kind, says = BAD_READINGS[name]
    config = json.dumps({"preprocessing": preprocessing})
    answer = post(stack, [("model.onnx", MODEL.read_bytes())], make(), config)
    assert answer.status_code == 202, answer.json()
    ended = stack.ended(answer.json()["id"])
    assert (ended["state"], ended["problem"]["type"]) == ("failed", f"/problems/{kind}"), ended
    assert says in ended["problem"]["detail"], ended["problem"]


def test_afterwards_the_workers_live_on(stack: Stack) -> None:
    """After all of that, an evaluation succeeds."""
    fine = stack.submit(MODEL, DATASET, '{"precision": 0.05}')
    assert stack.ended(fine.json()["id"])["state"] == "succeeded"
