"""The two shipped networks and the images they were trained on; examples/train.py makes them."""

from pathlib import Path
from typing import Literal


def paths(name: Literal["learned", "memorised"]) -> tuple[Path, Path]:
    """The model (.onnx) and the dataset (.npz) of one of the two shipped networks."""
    folder = Path(__file__).parent
    return folder / f"{name}.onnx", folder / f"{name}.npz"
