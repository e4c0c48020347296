"""What a network is fed: some rows of a dataset's inputs, of the types that it takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.ablation.sessions import NetworkError

Array = NDArray[Any]
Ints = NDArray[np.int64]
Inputs = Mapping[str, Array]  # for each input, one example a row; an array without axes goes into every run as it is


def how_many(inputs: Inputs) -> int:
    """How many examples there are. Raises `NetworkError` where no input has an axis for them."""
    for array in inputs.values():
        if array.ndim:
            return len(array)
    raise NetworkError("none of its inputs has an axis for examples")


def feed(wanted: Mapping[str, ir.Value], inputs: Inputs, rows: Ints) -> dict[str, Any]:
    """These rows of each input that a network wants. Raises `NetworkError` where it wants another."""
    found: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in inputs:
            raise NetworkError(f"no array is given for its input {name!r}")
        array = np.asarray(inputs[name][rows] if inputs[name].ndim else inputs[name])
        is_scalar = value.shape is not None and len(value.shape) == 0
        found[name] = _cast(name, _only(name, array) if is_scalar else array, value.dtype)
    return found


def _only(name: str, array: Array) -> Array:
    """The one number for a whole run, which a dataset may hold once for each example. Raises `NetworkError`."""
    if array.ndim and not (array == array.flat[0]).all():
        raise NetworkError(f"its input {name!r} is one number for all examples, and theirs differ")
    return np.asarray(array.reshape(-1)[0])


def _cast(name: str, array: Array, wanted: ir.DataType | None) -> Array:
    """The array as the network wants it. Raises `NetworkError` where that would change a value."""
    dtype = np.dtype(np.float32) if wanted is None else np.dtype(wanted.numpy())
    if array.dtype == dtype:
        return array
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
        same = np.can_cast(array.dtype, dtype, "safe") or np.array_equal(
            cast.astype(array.dtype), array, equal_nan=array.dtype.kind == "f"
        )
    if not same:
        raise NetworkError(f"the examples are {array.dtype} and its input {name!r} is {dtype}, which cannot hold them")
    return cast
