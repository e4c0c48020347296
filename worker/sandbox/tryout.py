"""What trying a network tells of it: on invented examples when it is opened, on the dataset's when it is loaded."""

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

from worker.ablation import idle, invented, trial_run
from worker.ablation.network import Inputs, Network, NetworkError
from worker.formats.refusals import Refused

Description = Mapping[str, Any]


def on_invented(network: Network, output: Description, device: str) -> dict[str, Any]:
    """The found {"batch", "cost", "warnings"} of a network that nobody has given an example yet.

    Raises `Refused` if it gives something else than its file says, `NetworkError` if no session can be made of it.
    """
    network.mask([site.name for site in network.sites], "zero")
    cost: dict[str, Any] = {"multiply_adds": network.multiply_adds(), "milliseconds": None}
    try:
        attempts = partial(invented.attempts, network.inputs, network.written_sizes())
        trial = trial_run.first_that_runs(network, attempts, device)
    except NetworkError as error:
        if error.of_memory:
            raise
        reason = str(error).splitlines()[0][:300].rstrip(". ")
        warnings = [f"The model runs on none of the inputs it was tried with ({reason}); an evaluation tries its own."]
    else:
        _check(trial.tail, output)
        warnings = trial.warnings + idle.warnings(network, trial.inputs)
        if trial.broken:
            warnings.append("The model answers NaN, which is no number, to random inputs. NaN never counts as right.")
        cost["milliseconds"] = trial_run.milliseconds(network, trial.inputs)
    return {"batch": network.fixed_batch, "cost": cost, "warnings": warnings}


def on_examples(network: Network, inputs: Inputs, device: str) -> tuple[tuple[int, ...], list[str]]:
    """The shape of a network's output for one real example, and warnings. Raises `NetworkError` if it does not run."""
    trial = trial_run.run(network, inputs, device)
    network.multiply(trial.inputs)
    warnings = list(trial.warnings)
    if trial.broken:
        warnings.append("The model answers NaN, which is no number, to some of the dataset's first examples.")
    return trial.tail, warnings


def _check(tail: tuple[int, ...], output: Description) -> None:
    """Is this the output that the file describes?"""
    classes, kind = output["classes"], output.get("kind", "classes")
    fits = {"classes": prod(tail) == classes, "binary": prod(tail) == 1, "tokens": tail[1:] == (classes,)}
    if not fits[kind]:
        raise Refused(
            "model-unsupported",
            f"For one example the output {output['name']!r} is {list(tail)}, and the file says that it has {classes} "
            "classes. Name another output in the config, or export the model anew.",
        )
