"""The two shipped networks and the images they were trained on; examples/train.py makes them."""

from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent


def paths(name: Literal["learned", "memorised"]) -> tuple[Path, Path]:
    """The model (.onnx) and the dataset (.npz) of one of the two shipped networks."""
    return FOLDER / f"{name}.onnx", FOLDER / f"{name}.npz"
