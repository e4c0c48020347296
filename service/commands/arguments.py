"""Arguments that several commands of the command line take: files, and the service to talk to."""

from pathlib import Path
from typing import Annotated

import typer

from service import usage

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", exists=True, dir_okay=False, help="An .onnx, .pt2 or TorchScript file.")
]
Dataset = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET",
        exists=True,
        help="An .npz, .parquet, .safetensors or .csv file; a zip, tar or folder of images in class folders.",
    ),
]
ModelData = Annotated[
    list[Path] | None,
    typer.Option(
        "--model-data", metavar="FILE", exists=True, dir_okay=False, help="A file MODEL's weights lie in; repeatable."
    ),
]
Inspected = Annotated[
    list[Path], typer.Argument(metavar="FILE", exists=True, help="A model, and its data files; or a dataset.")
]
Server = Annotated[str | None, typer.Option(help="Address of a running service, instead of our own.")]
Folder = Annotated[Path | None, typer.Option("--data", file_okay=False, help="Folder to keep everything in.")]
Charts = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="With --analyses: folder for what each of them found, as CSV and SVG."),
]


def check_place(server: str | None, data: Path | None) -> None:
    """End the command where both say where the service is."""
    if server is not None and data is not None:
        usage.fail("--data belongs to a service of our own; leave it out, or --server.", usage.USAGE)
