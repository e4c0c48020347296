"""Models: ONNX files, parsed and checked without running them. What comes out is self-contained and of bounded size.

First the constants are weighed (`weights`), so that a few bytes cannot ask for many. Then local functions and branches
that are always taken are put in place, the class output is chosen, and all that it does not depend on is cut away: what
is left must be made of operators that are allowed, and fit into memory.
"""

from dataclasses import dataclass
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, defs, inliner

from worker.formats import (
    asked_sizes,
    classes,
    folding,
    graphs,
    inference,
    inputs,
    operators,
    ordering,
    outputs,
    selections,
    weights,
    words,
)
from worker.formats.outputs import Output
from worker.formats.refusals import Refused

LEAST_OPSET = 7
NODES_LIMIT = 50_000  # after its functions are inlined; the largest real classifiers have a few thousand
GRAPHS_LIMIT = 500  # branches within branches; real classifiers have a few dozen
SHOWN = 5  # names in a warning
EXPORT = (
    "Export it from PyTorch with torch.onnx.export(model.eval(), (example,), 'model.onnx', dynamo=True, "
    "external_data=False)."
)


@dataclass(frozen=True)
class Read:
    """A model that may be worked with: its bytes, serialized by us, with shapes inferred; and what was found."""

    data: bytes
    output: str
    found: dict[str, Any]


def read_onnx(data: bytes, output: str | None = None) -> Read:
    """Check a model's bytes. Raises `Refused` with what is wrong and what to do.

    output: the name of its class output; None chooses one.
    """
    model = _parsed(data)
    weights.check(model)
    _check_nodes(model)
    ordering.sort(model)
    model = _inlined(model)
    _check_graphs(model)
    _settle(model)
    inputs.check(model.graph)
    chosen, others = outputs.choose(model.graph, output)
    there, labels = outputs.described(model.graph), classes.labels(model.graph, chosen.name, chosen.classes)
    probable = classes.are_probabilities(model.graph, chosen.name)
    lost = graphs.cut(model.graph, graphs.values(model.graph)[chosen.name])
    selections.rewrite(model.graph)
    operators.check(model.graph)
    _import_what_is_used(model)
    inference.check(model)
    found_inputs = inputs.described(model.graph)
    inference.infer(model, strict=True)
    inference.check_activations(model)
    found = {
        "format": "onnx",
        "producer": f"{model.producer_name} {model.producer_version}".strip()[:1000],
        "opset": _opset(model),
        "parameters": weights.count(model),
        "inputs": found_inputs,
        "outputs": there,
        "output": {
            "name": chosen.name,
            "shape": chosen.shape,
            "classes": chosen.classes,
            "kind": chosen.kind,
            "probabilities": probable,
            "labels": labels,
        },
        "batch": inputs.fixed_batch(model.graph),
        "warnings": [*_choice(chosen, others if output is None else []), *_losses(lost, chosen)],
    }
    return Read(model.SerializeToString(), chosen.name, found)


def _parsed(data: bytes) -> ModelProto:
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise _malformed("This is no ONNX model, or not all of one.") from error
    words.check(model)
    if not model.graph.node or not model.ir_version:
        raise _malformed(f"There is no network in this file. {EXPORT}")
    if model.ir_version > onnx.IR_VERSION:
        known = f"{onnx.IR_VERSION} is the newest that is read"
        raise _unsupported(f"The model is of ONNX's IR version {model.ir_version}; {known}. {EXPORT}")
    opset = _opset(model)
    if not opset:
        raise _malformed("The file does not say of which opset it is.")
    if not LEAST_OPSET <= opset <= defs.onnx_opset_version():
        known = f"{LEAST_OPSET} to {defs.onnx_opset_version()}"
        raise _unsupported(f"The model is of opset {opset}; {known} are read. {EXPORT}")
    return model


def _malformed(detail: str) -> Refused:
    return Refused("model-malformed", f"{detail} {weights.DAMAGED}")


def _unsupported(detail: str) -> Refused:
    return Refused("model-unsupported", detail)


def _opset(model: ModelProto) -> int:
    return max((each.version for each in model.opset_import if each.domain in graphs.DEFAULT_DOMAINS), default=0)


def _check_nodes(model: ModelProto) -> None:
    sizes = _function_sizes(model)
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in graphs.nodes(model.graph))
    if total > NODES_LIMIT:
        raise Refused("model-too-large", f"The model has {total:,} nodes; {NODES_LIMIT:,} are the limit.")


def _check_graphs(model: ModelProto) -> None:
    """Each inner graph is inferred by itself, and those in it again."""
    inner = sum(1 for _ in graphs.graphs(model.graph)) - 1
    if inner > GRAPHS_LIMIT:
        detail = f"The model has {inner:,} branches; {GRAPHS_LIMIT:,} are the limit. {operators.ALONE}"
        raise Refused("model-too-large", detail)


def _function_sizes(model: ModelProto) -> dict[tuple[str, str], int]:
    """How many nodes each local function is when it is inlined with all that it calls."""
    bodies = {(function.domain, function.name): list(graphs.below(function.node)) for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    waiting = set(bodies)
    while waiting:
        known = [name for name in waiting if not any((n.domain, n.op_type) in waiting for n in bodies[name])]
        if not known:
            raise _malformed("Its local functions call each other in a circle.")
        for name in known:
            sizes[name] = sum(sizes.get((node.domain, node.op_type), 1) for node in bodies[name])
        waiting.difference_update(known)
    return sizes


def _inlined(model: ModelProto) -> ModelProto:
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        raise _malformed(f"Its local functions cannot be inlined: {str(error)[:300]}.") from error


def _settle(model: ModelProto) -> None:
    """Name the open axes, infer shapes as far as they can be, and put branches that are always taken in place."""
    inputs.normalise(model)
    asked_sizes.check(model.graph)
    inference.check_rows(model)
    inference.infer(model)
    if folding.inline_branches(model.graph):
        inference.infer(model)


def _import_what_is_used(model: ModelProto) -> None:
    used = {node.domain for node in graphs.nodes(model.graph)}
    spare = [place for place, each in enumerate(model.opset_import) if each.domain not in used | {"", "ai.onnx"}]
    for place in reversed(spare):
        del model.opset_import[place]


def _choice(chosen: Output, others: list[Output]) -> list[str]:
    if not others:
        return []
    named = ", ".join(repr(each.named[:100]) for each in others[:SHOWN])
    might = f"{named} might be meant too. Name the right one with `output` in the config."
    return [f"The output {chosen.named[:100]!r} was taken for the classes; {might}"]


def _losses(lost: list[str], chosen: Output) -> list[str]:
    if not lost:
        return []
    named = ", ".join(repr(name[:100]) for name in lost[:SHOWN])
    return [f"The output {chosen.name[:100]!r} does not depend on {named}, which the dataset need not hold."]
