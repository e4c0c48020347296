"""Sites and curves against a plain loop with PyTorch hooks: a residual CNN, a transformer and an LSTM, as exported."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from service import scoring
from service.scoring import METRICS, Intact, Reference, Tally
from service.scoring.curve import curve
from tests.worker.hooked_nets import Reader, Recurrent, Residual, loop, made
from worker.ablation import trials
from worker.ablation.network import Network
from worker.ablation.trials import Design, Trials
from worker.formats.models import read_onnx

EXAMPLES = 24
KINDS = [Residual, Reader, Recurrent]
EXPORTERS = ["legacy", "dynamo"]
STRATA = 8
FRACTIONS, ORDERINGS = 5, 2


def exported(kind: Any, exporter: str, folder: Path) -> Network:
    """The network as Lesion has it: exported, read, its sites found, all of them masked."""
    net, inputs, _ = made(kind, EXAMPLES)
    path, names, examples = folder / "model.onnx", list(kind.inputs), tuple(each[:2] for each in inputs.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters, about themselves
        if exporter == "legacy":
            axes = {name: {0: "batch"} for name in names}
            torch.onnx.export(
                net, examples, str(path), dynamo=False, opset_version=17, input_names=names, dynamic_axes=axes
            )
        else:
            batch = tuple({0: torch.export.Dim("batch")} for _ in names)
            program = torch.onnx.export(net, examples, dynamo=True, dynamic_shapes=batch, input_names=names)
            assert program is not None
            program.save(path, external_data=False)
    read = read_onnx(path.read_bytes())
    network = Network(read.data, read.output)
    network.mask([site.name for site in network.sites], "zero")
    return network


def design(kind: Any, estimator: Any) -> Design:
    units = tuple(site.units for site in kind.sites)
    return Design(
        seed=11,
        examples=EXAMPLES,
        units=units,
        estimator=estimator,
        separate=False,
        strata=STRATA,
        trials_per_chunk=128,
        orderings=ORDERINGS,
        fractions=FRACTIONS,
    )


def drawn(kind: Any, estimator: Any) -> list[Trials]:
    """Two chunks of `adaptive`, or the whole grid."""
    asked = design(kind, estimator)
    return [trials.draw(asked, index) for index in range(trials.chunks(asked) or 2)]


@cache
def looped(kind: Any, estimator: Any) -> list[NDArray[np.float32]]:
    """What the loop answers to each chunk."""
    net, inputs, _ = made(kind, EXAMPLES)
    return [loop(net, inputs, each.examples, each.lesions, each.masks) for each in drawn(kind, estimator)]


def points(kind: Any, answers: list[NDArray[np.float32]], estimator: Any) -> list[tuple[float, float]]:
    """Lesion's curve of these answers: fractions and values, without the intact pass that `adaptive` puts first."""
    _, _, labels = made(kind, EXAMPLES)
    payloads = [
        scoring.count(each.cells, given.argmax(1) == labels.numpy()[each.examples])
        for each, given in zip(drawn(kind, estimator), answers, strict=True)
    ]
    tally = Tally.of(trials.cells(design(kind, estimator)), payloads)
    right = EXAMPLES - len(range(0, EXAMPLES, 5))
    chance = np.bincount(labels).max() / EXAMPLES
    reference = Reference(METRICS["accuracy"], Intact.counted(right, EXAMPLES), float(chance))
    found = curve(tally, estimator=estimator, reference=reference, confidence=0.95)
    return [(point.fraction, point.value) for point in found if estimator == "grid" or point.fraction > 0]


def plain_curve(kind: Any, estimator: Any) -> list[tuple[float, float]]:
    """The curve by a loop over the trials: the share of right answers at each fraction, or between two of them."""
    _, _, labels = made(kind, EXAMPLES)
    right: dict[float, list[bool]] = {}
    for each, answers in zip(drawn(kind, estimator), looped(kind, estimator), strict=True):
        for example, lesion, answer in zip(each.examples, each.lesions, answers, strict=True):
            fraction = float(each.fractions[lesion])
            at = fraction if estimator == "grid" else (int(fraction * STRATA) + 0.5) / STRATA
            right.setdefault(at, []).append(int(answer.argmax()) == int(labels[example]))
    return sorted((at, sum(each) / len(each)) for at, each in right.items())


@pytest.fixture(scope="module", params=[(kind, exporter) for kind in KINDS for exporter in EXPORTERS])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Network]:
    """A kind of network, and what Lesion makes of its file; exporting takes a second."""
    kind, exporter = request.param
    return kind, exported(kind, exporter, tmp_path_factory.mktemp(exporter))


def test_sites_are_the_modules_that_one_would_hook(both: tuple[Any, Network]) -> None:
    """Names and units, in network order; heads are called after the block whose output projection they go into."""
    kind, network = both
    assert [(site.name, site.units) for site in network.sites] == [(site.name, site.units) for site in kind.sites]


@pytest.mark.parametrize("estimator", ["adaptive", "grid"])
def test_every_trial_answers_as_the_hooks_do(both: tuple[Any, Network], estimator: str) -> None:
    """The same masks: values equal to 1e-5, the same class for each trial, and so the same curve at each fraction."""
    kind, network = both
    _, inputs, _ = made(kind, EXAMPLES)
    arrays = {name: each.numpy() for name, each in inputs.items()}
    found = [network.outputs(arrays, each.examples, each.lesions, each.masks) for each in drawn(kind, estimator)]
    for ours, theirs in zip(found, looped(kind, estimator), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)
        np.testing.assert_array_equal(ours.argmax(1), theirs.argmax(1))
    np.testing.assert_allclose(points(kind, found, estimator), plain_curve(kind, estimator), atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_curves_say_something(kind: Any) -> None:
    """What is compared above falls from four right answers in five to about what one class alone would get."""
    values = [value for _, value in plain_curve(kind, "grid")]
    assert values[0] == 1 - len(range(0, EXAMPLES, 5)) / EXAMPLES
    assert values[-1] < 0.6
