"""`lesion inspect`: one upload, looked at by a worker, and what was found in it as tables."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from service import schemas, terminal, uploading
from service.client import Client, ClientError
from service.processes import CannotStartError
from service.reaching import DONE, INTERRUPTED, NOT_JUDGED, TIMED_OUT, reached
from service.terminal import visible

PATIENCE = 600.0  # seconds for a worker to look; a conversion may take minutes
DATASETS = {".npz", ".parquet", ".safetensors", ".csv", ".tsv", ".tar", ".tgz", ".gz", ".bz2", ".xz"}


@dataclass(frozen=True)
class Order:
    """What to look at, and where: on `server`, else on a stack of our own over `data` (None: a folder for now)."""

    files: tuple[Path, ...]
    server: str | None = None
    data: Path | None = None
    as_json: bool = False


def run(order: Order) -> int:
    """Upload, wait, print, and return the exit code: 0, or 3 if it is refused, 4 if nobody looked, 130 after Ctrl-C."""
    errors = terminal.console(stderr=True)
    try:
        with reached(order.server, order.data, errors) as client, errors.status("looking"):
            answer = _looked_at(client, order.files)
    except (ClientError, CannotStartError, OSError) as error:
        late = isinstance(error, TimeoutError)
        errors.print(visible(str(error)), style="bold red", soft_wrap=True)
        return TIMED_OUT if late else NOT_JUDGED
    except KeyboardInterrupt:
        return INTERRUPTED
    if order.as_json:
        terminal.print_json(answer.model_dump(mode="json"))
    else:
        show(terminal.console(), answer, order.files[0].name)
    return DONE


def _looked_at(client: Client, files: Sequence[Path]) -> schemas.Model | schemas.Dataset:
    if kind(files) == "dataset":
        return client.inspected(client.upload_dataset(files[0]), PATIENCE)
    weights = files[1:] or uploading.weights_beside(files[0])
    return client.inspected(client.upload_model(files[0], *weights), PATIENCE)


def kind(files: Sequence[Path]) -> Literal["model", "dataset"]:
    """What files are, by their names; a zip, by the names in it. A service then reads what they really are."""
    first = files[0]
    if len(files) > 1:
        return "model"
    if first.is_dir() or first.suffix.lower() in DATASETS:
        return "dataset"
    if first.suffix.lower() == ".zip" and zipfile.is_zipfile(first):
        with zipfile.ZipFile(first) as archive:
            return "model" if any(name.endswith(".onnx") for name in archive.namelist()) else "dataset"
    return "model"


def show(out: Console, answer: schemas.Model | schemas.Dataset, name: str) -> None:
    """Print what was found."""
    if answer.found is None:
        return
    found: RenderableType = _model(answer.found) if isinstance(answer, schemas.Model) else _dataset(answer.found)
    out.print(Text(visible(name), "bold"), Text(visible(answer.id), "dim"), soft_wrap=True)
    out.print(found)
    for warning in answer.found.warnings:
        out.print(Text(f"Warning: {visible(warning)}", "yellow"), soft_wrap=True)


def _model(found: schemas.ModelFound) -> RenderableType:
    units = sum(site.units for site in found.sites)
    sites = _table("site", "op", "units")
    for site in found.sites:
        sites.add_row(visible(site.site), visible(site.op), f"{site.units:,}")
    return Group(
        _facts(_model_facts(found)),
        _arrays("inputs", found.inputs),
        _arrays("outputs", found.outputs or [_as_array(found.output)], found.output),
        Text(f"\nsites, in network order: {len(found.sites)}, with {units:,} units", "bold"),
        sites,
    )


def _model_facts(found: schemas.ModelFound) -> Iterator[tuple[str, str]]:
    by = f", written by {found.producer}" if found.producer else ""
    yield "format", f"{found.format}" + ("" if found.opset is None else f", opset {found.opset}") + by
    if found.converted is not None:
        yield "converted", ", ".join(f"{name} {value}" for name, value in found.converted.items())
    if found.parameters is not None:
        yield "parameters", f"{found.parameters:,}"
    if found.cost is not None:
        adds, took = found.cost.multiply_adds, found.cost.milliseconds
        told = [f"{adds:,} multiply-adds"] * (adds is not None) + [f"{took:.3g} ms"] * (took is not None)
        yield "an example", ", ".join(told)
    if found.output.labels:
        yield "classes", _listed([str(label) for label in found.output.labels])
    yield "batch", "any" if found.batch is None else f"{found.batch}, fixed"


def _dataset(found: schemas.DatasetFound) -> RenderableType:
    return Group(_facts(_dataset_facts(found)), _arrays("inputs", found.inputs))


def _dataset_facts(found: schemas.DatasetFound) -> Iterator[tuple[str, str]]:
    yield "format", found.format
    yield "examples", f"{found.examples:,}"
    yield "labels", "none: agreement with the intact model can be measured" if found.labels is None else _labels(found)
    if found.labels is not None and found.labels.names:
        yield "label names", _listed([str(name) for name in found.labels.names])
    if found.columns:
        yield "columns", _listed(found.columns)
    if found.splits:
        yield "splits", _listed([f"{name} ({count:,})" for name, count in found.splits.items()])


def _labels(found: schemas.DatasetFound) -> str:
    labels = found.labels
    assert labels is not None
    told = [f"{labels.min} to {labels.max}"] if labels.min is not None else []
    told += [f"{labels.distinct} distinct"] if labels.distinct is not None else []
    if labels.most_frequent is not None and found.examples:
        told.append(f"the most frequent on {labels.most_frequent / found.examples:.1%} of the examples")
    return ", ".join(told)


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _facts(facts: Iterator[tuple[str, str]]) -> Table:
    grid = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, fact in facts:
        grid.add_row(name, visible(fact))
    return grid


def _arrays(title: str, arrays: list[schemas.Array], taken: schemas.Output | None = None) -> Group:
    table = _table("name", "type", "shape", "")
    for array in arrays:
        mine = taken is not None and array.name == taken.name
        told = _taken(taken) if mine and taken is not None else ""
        shape = "?" if array.shape is None else visible("[" + ", ".join(map(str, array.shape)) + "]")
        table.add_row(visible(array.name), visible(array.dtype), shape, told, style="bold" if mine else None)
    return Group(Text(f"\n{title}", "bold"), table)


def _as_array(output: schemas.Output) -> schemas.Array:
    """For what an older service found: it told of this one output alone."""
    return schemas.Array(name=output.name, dtype="", shape=output.shape)


def _taken(output: schemas.Output) -> str:
    """What the output that is scored is taken for."""
    kind = "" if output.kind == "classes" else f"{visible(output.kind)}, "
    return f"← {kind}{output.classes:,} classes, {'probabilities' if output.probabilities else 'logits'}"


def _table(*heads: str) -> Table:
    columns = (Column(head, overflow="fold") for head in heads)  # a name that is cut cannot be copied
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2), header_style="dim")
