"""A program that was uploaded, as far as the world outside torch sees it: its inputs, and a function to run it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from worker.formats import fidelity
from worker.formats.refusals import Refused

SEED = 0
NO_MEMORY = "can't allocate memory"  # what torch says instead of a MemoryError
RUNS = 2  # batches of random examples that a conversion is checked on
NEIGHBOURS = (1e-3, 1e-4)  # relative and absolute: how far other neighbours may move an answer, by rounding
Array = NDArray[Any]
Kind = Literal["pt2", "torchscript"]


@dataclass(frozen=True)
class Input:
    """An input of a program: a shape it runs on, the names of axes that may have other sizes, another such shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    open: Mapping[int, str] = field(default_factory=dict)
    also: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Program:
    """A program: it takes one array an input and gives its outputs. `chunk`: examples of one run, at least 1."""

    kind: Kind
    inputs: tuple[Input, ...]
    run: Callable[[Sequence[Array]], list[Array]]
    chunk: int

    def is_batched(self, one: Input) -> bool:
        """Has this input an axis for examples?"""
        return 0 in one.open or (0 not in self.inputs[0].open and one.shape[:1] == self.inputs[0].shape[:1])

    def is_free(self) -> bool:
        """May a batch have any number of examples?"""
        return 0 in self.inputs[0].open


@dataclass(frozen=True)
class Converted:
    """A program, the ONNX file made of it, and a report: what made it, and how well they agree on random inputs."""

    onnx: bytes
    report: dict[str, Any]
    program: Program

    def compare(self, arrays: Sequence[Array]) -> dict[str, Any]:
        """The report, on these examples: an array an input, in order. Raises `Refused` where the two disagree."""
        return {**self.report, "inputs": "dataset", **_compared(self.program, self.onnx, arrays)}


def checked(program: Program, onnx: bytes, report: Mapping[str, Any]) -> Converted:
    """A conversion that agrees with its original on random inputs, of both shapes where axes are open."""
    rng = np.random.default_rng(SEED)
    found = _compared(program, onnx, randoms(program, program.chunk * RUNS, rng))
    if any(one.also for one in program.inputs):
        _compared(program, onnx, randoms(program, program.chunk, rng, also=True))
    return Converted(onnx, {**report, "inputs": "random", **found}, program)


def runs(program: Program) -> bool:
    """Does it run on the shapes of its inputs, and with a free batch axis give one answer an example?"""
    try:
        outputs = program.run(randoms(program, program.chunk, np.random.default_rng(SEED)))
    except MemoryError:
        raise
    except Exception as error:  # a program may raise anything
        if NO_MEMORY in str(error):
            raise MemoryError(str(error)) from error
        return False
    one_each = all(each.ndim and each.shape[0] == program.chunk for each in outputs)
    return bool(outputs) and (one_each or not program.is_free())


def refuse_training(program: Program) -> None:
    """One example must get one answer: twice the same, and the same beside other neighbours."""
    rng = np.random.default_rng(SEED)
    first, other = (randoms(program, program.chunk, rng) for _ in range(2))
    once, again = program.run(first), program.run(first)
    steady = all(np.array_equal(_wide(mine), _wide(its), equal_nan=True) for mine, its in zip(once, again, strict=True))
    if steady and program.is_free():
        mixed = [
            np.concatenate([mine[:1], its[1:]]) if program.is_batched(one) else mine
            for one, mine, its in zip(program.inputs, first, other, strict=True)
        ]
        pairs = zip(once, program.run(mixed), strict=True)
        steady = all(np.allclose(_wide(mine)[:1], _wide(its)[:1], *NEIGHBOURS, equal_nan=True) for mine, its in pairs)
    if not steady:
        raise Refused(
            "model-unsupported",
            "The model answers the same example differently from call to call, or beside other neighbours in its "
            "batch: it was saved in training mode, with dropout or batch normalisation at work. Call "
            "model.eval() first, then trace, script or export it again.",
        )


def randoms(program: Program, examples: int, rng: np.random.Generator, also: bool = False) -> list[Array]:
    """Random inputs: normal numbers, and 0 or 1 for integers, which ids, masks and types all allow."""
    found = []
    for one in program.inputs:
        shape = (one.also or one.shape) if also else one.shape
        found.append(_random((examples, *shape[1:]) if program.is_batched(one) else shape, one.dtype, rng))
    return found


def _random(shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> Array:
    if np.issubdtype(np.dtype(dtype), np.floating):
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _compared(program: Program, onnx: bytes, arrays: Sequence[Array]) -> dict[str, Any]:
    if len(arrays) != len(program.inputs):
        detail = f"The original takes {len(program.inputs)} inputs, and what it was converted to {len(arrays)}."
        raise Refused("model-unsupported", detail)
    examples = next((len(each) for one, each in zip(program.inputs, arrays, strict=True) if program.is_batched(one)), 1)
    batches = list(_batches(program, arrays, examples))
    original = [program.run(batch) for batch in batches]
    return {"examples": examples, **fidelity.compared(original, fidelity.answers(onnx, batches))}


def _batches(program: Program, arrays: Sequence[Array], examples: int) -> Iterator[list[Array]]:
    """Batches of `chunk` examples; the last is filled with copies of the last example."""
    for start in range(0, examples, program.chunk):
        rows = np.minimum(np.arange(start, start + program.chunk), examples - 1)
        yield [
            each[rows] if program.is_batched(one) else each for one, each in zip(program.inputs, arrays, strict=True)
        ]


def _wide(array: Array) -> NDArray[np.float64]:
    return np.atleast_1d(np.asarray(array, np.float64))
