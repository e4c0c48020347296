"""Inputs to try on a TorchScript, which need not say what it takes: as it was traced, as the dataset has them, as its
weights suggest."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.formats.programs import Input
from worker.formats.torchscript import Traced

SIDES = (28, 32, 64, 96, 128, 224, 299, *range(4, 65), 160, 192, 256, 384, 512)
LENGTHS = (16, 32, 64, 128, 256, 512, 1000, 1024, 3000, 16000)
TOKENS = 16
WEIGHTS = 8  # how many of the first weights are asked
BATCH = 2  # examples of the run that is exported; with 1, exporters take the axis for a constant
Tail = tuple[int, ...]  # a shape without its axis for examples
Inputs = tuple[Input, ...]


def candidates(
    names: Sequence[str],
    traced: Sequence[Traced],
    hints: Sequence[Mapping[str, Any]],
    weights: Mapping[str, Sequence[Tail]],
) -> Iterator[Inputs]:
    """Inputs of these names to try, the likeliest first.

    hints: [{"name", "dtype", "shape"}] of a dataset. weights: {dtype: shapes in the order of the layers}.
    """
    if len(traced) == len(names):
        yield from _as_traced(names, traced)
    yield from _hinted(names, hints)
    for dtype, shapes in weights.items():
        for kind, tail in _tails(shapes):
            yield from _guessed(names, "int64" if kind == "ids" else dtype, tail)


def _as_traced(names: Sequence[str], traced: Sequence[Traced]) -> Iterator[Inputs]:
    batch = traced[0].shape[:1]
    yield tuple(
        Input(name, one.dtype, (BATCH, *one.shape[1:]), {0: "batch"})
        if one.shape and one.shape[:1] == batch
        else Input(name, one.dtype, one.shape)
        for name, one in zip(names, traced, strict=True)
    )
    yield tuple(Input(name, one.dtype, one.shape) for name, one in zip(names, traced, strict=True))


def _hinted(names: Sequence[str], hints: Sequence[Mapping[str, Any]]) -> Iterator[Inputs]:
    """Inputs of the dataset's shapes: those of the same names, or all of them if there are as many."""
    by_name = {each["name"]: each for each in hints}
    chosen = [by_name[name] for name in names] if set(names) <= set(by_name) else list(hints)
    shapes = [each["shape"][1:] for each in chosen]
    if len(chosen) == len(names) and all(isinstance(size, int) for shape in shapes for size in shape):
        for batch, axes in ((BATCH, {0: "batch"}), (1, {})):
            yield tuple(
                Input(name, _fed(each["dtype"]), (batch, *shape), axes)
                for name, each, shape in zip(names, chosen, shapes, strict=True)
            )


def _fed(dtype: str) -> str:
    """What a network takes where a dataset holds this: pixels and doubles become float32."""
    return "float32" if dtype in ("float64", "uint8") else dtype


def _guessed(names: Sequence[str], dtype: str, tail: Tail) -> Iterator[Inputs]:
    """First with the axes open that networks leave open, then with all but the batch fixed, then for one example."""
    names_of_open = {"int64": {1: "sequence"}}.get(dtype, {2: "height", 3: "width"} if len(tail) == 3 else {})
    if names_of_open:
        more = 5 if dtype == "int64" else 32
        larger = tuple(size + more if axis in names_of_open else size for axis, size in enumerate(tail, 1))
        axes = {0: "batch", **names_of_open}
        yield tuple(Input(name, dtype, (BATCH, *larger), axes, (BATCH, *tail)) for name in names)
    yield tuple(Input(name, dtype, (BATCH, *tail), {0: "batch"}) for name in names)
    yield tuple(Input(name, dtype, (1, *tail)) for name in names)


def _tails(weights: Sequence[Tail]) -> Iterator[tuple[str, Tail]]:
    """("floats" or "ids", tail) by the shapes of the first weights: [out, in, ..] of dense and convolutional layers."""
    for shape in [shape for shape in weights if len(shape) > 1][:WEIGHTS]:
        entering = shape[1]
        match len(shape):
            case 2:  # a dense layer, an embedding, a recurrent layer
                yield from (("floats", (entering,)), ("ids", (TOKENS,)), ("floats", (TOKENS, entering)))
            case 3:
                yield from (("floats", (entering, length)) for length in LENGTHS)
            case 4:
                yield from (("floats", (entering, side, side)) for side in SIDES)
            case 5:
                yield from (("floats", (entering, side, side, side)) for side in (16, 32, 28, 8))
