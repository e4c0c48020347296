"""Examples made up for a network that was given none yet: of the right types, of shapes that are likely to run."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation.network import Array, Inputs

EXAMPLES = 8
# Each example's own scale: where examples share anything, a loud neighbour changes more than a quiet one.
SCALES = (1.0, 1.0, 0.1, 2.0, 100.0, 30.0, 0.01, 0.0)
# What open axes are taken to be, in the order of the attempts.
PIXELS = (64, 224, 32, 128, 299)
TOKENS = (8, 16, 1, 128, 77)
FEATURES = (576, 8, 16_000, 64, 100)
PICTURE_AXES = 4
LARGEST_PICTURE = 512
Usual = tuple[int, int, int]  # one of each


def attempts(inputs: Mapping[str, ir.Value], written: Sequence[int] = ()) -> Iterator[Inputs]:
    """Examples for these inputs: noise at several sizes of the open axes if there are any, then ones, then zeros.

    written: sizes that the model's file tells of, tried after the usual ones.
    """
    usual = list(zip(PIXELS, TOKENS, FEATURES, strict=True))
    told = [(min(size, LARGEST_PICTURE), size, size) for size in written]
    for sizes in [*usual, *told] if _is_open(inputs) else usual[:1]:
        yield _made(inputs, sizes, "noise")
    yield _made(inputs, usual[0], "ones")
    yield _made(inputs, usual[0], "zeros")


def _is_open(inputs: Mapping[str, ir.Value]) -> bool:
    shapes = [value.shape for value in inputs.values() if value.shape is not None]
    return any(not (isinstance(size, int) and size > 0) for shape in shapes for size in list(shape)[1:])


def _made(inputs: Mapping[str, ir.Value], usual: Usual, content: str) -> dict[str, Array]:
    generator = np.random.default_rng(0)
    sizes: dict[str, int] = {}
    made = {}
    for name, value in inputs.items():
        shape, dtype = _shape(value, usual, sizes), np.dtype(np.float32 if value.dtype is None else value.dtype.numpy())
        made[name] = np.full(shape, content == "ones", dtype) if content != "noise" else _noise(generator, shape, dtype)
    return made


def _shape(value: ir.Value, usual: Usual, sizes: dict[str, int]) -> tuple[int, ...]:
    """An input's shape, all examples together; () for a scalar. Axes of one name have one size."""
    if value.shape is None or not len(value.shape):
        return ()
    own = _own(value, usual)
    found = [EXAMPLES]
    for size in list(value.shape)[1:]:
        name = "" if isinstance(size, int) else size.value or ""
        found.append(size if isinstance(size, int) and size > 0 else sizes.setdefault(name, own) if name else own)
    return tuple(found)


def _own(value: ir.Value, usual: Usual) -> int:
    """What an input's open axes are taken to be, by what it seems to hold."""
    pixels, tokens, features = usual
    rank = 0 if value.shape is None else len(value.shape)
    if rank >= PICTURE_AXES:
        return pixels
    is_sound = rank == 2 and value.dtype is not None and value.dtype.is_floating_point()
    return features if is_sound else tokens


def _noise(generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    if dtype.kind == "f":
        made: NDArray[np.float64] = generator.standard_normal(shape)
        return (made * _scales(shape)).astype(dtype)
    if len(shape) >= PICTURE_AXES and dtype.kind in "iu":
        return generator.integers(0, 128 if dtype == np.int8 else 256, shape).astype(dtype)
    # The ids and marks of every vocabulary, and no row of marks without one.
    small = generator.integers(0, 2, shape)
    if shape:
        small[..., 0] = 1
    return small.astype(dtype)


def _scales(shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.reshape(SCALES, (-1, *(1 for _ in shape[1:]))) if shape else np.ones(())
