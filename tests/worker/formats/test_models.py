"""What reading a model promises: good ones run, all others are refused in words, and none takes the child down."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.zoo import models, networks
from worker.formats.models import read_onnx
from worker.formats.refusals import KINDS, Refused
from worker.sandbox.parent import Child, Crashed

EXPORTS = Path(__file__).parents[1] / "exports"
MEMORY = 768 * 1024**2
FLIPS = 500
CUTS = 50


class Opener:
    """Opens models in a real child, which lives on from one to the next; a new one is started only after a crash."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "model.onnx"
        self._child = self._start()

    def __call__(self, data: bytes) -> dict[str, Any]:
        self._path.write_bytes(data)
        try:
            return self._child.open_model(self._path)
        except Crashed:
            self.close()
            self._child = self._start()
            raise

    def _start(self) -> Child:
        return Child(memory_bytes=MEMORY, seconds=60, threads=1)

    def close(self) -> None:
        self._child.close()


@pytest.fixture(scope="module")
def open_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """One opener for all tests of this module."""
    opener = Opener(tmp_path_factory.mktemp("zoo"))
    yield opener
    opener.close()


@pytest.mark.parametrize("make", models.ACCEPTED + networks.ACCEPTED, ids=lambda make: make.__name__)
def test_good_models_are_accepted(make: Any, open_model: Opener) -> None:
    """What is found says what goes in, what comes out, and which units there are."""
    found = open_model(make())
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}]
    assert (found["output"]["name"], found["output"]["classes"], found["output"]["kind"]) == ("y", 3, "classes")
    assert [site["units"] for site in found["sites"]] == [6]
    assert (found["format"], found["opset"]) == ("onnx", 17)


def test_parameters_are_counted(open_model: Opener) -> None:
    """The parameters are the numbers in the weights."""
    assert open_model(models.good())["parameters"] == 4 * 6 + 6 * 3


@pytest.mark.parametrize(
    ("make", "kind", "words"), models.REFUSED + networks.REFUSED, ids=lambda each: getattr(each, "__name__", "")
)
def test_misdeeds_are_refused_in_words(make: Any, kind: str, words: str, open_model: Opener) -> None:
    """Each misdeed gets its own problem and a detail that names the thing and stays short; the child lives on."""
    with pytest.raises(Refused) as refused:
        open_model(make())
    assert (refused.value.kind, kind in KINDS) == (kind, True), refused.value.detail
    assert words in refused.value.detail
    assert 40 < len(refused.value.detail) < 800


@pytest.mark.parametrize("zoo", [models, networks])
def test_the_zoo_is_complete(zoo: Any) -> None:
    """No misdeed is built and then forgotten."""
    built = {each for each in vars(zoo).values() if getattr(each, "__module__", "") == zoo.__name__}
    assert built == {*zoo.ACCEPTED, *(make for make, _, _ in zoo.REFUSED)}


def test_every_cut_is_refused() -> None:
    """A model cut off anywhere is refused as damaged, never read in part."""
    data = (EXPORTS / "resnet-legacy17.onnx").read_bytes()
    for length in np.linspace(1, len(data) - 1, CUTS).astype(int):
        with pytest.raises(Refused) as refused:
            read_onnx(data[:length])
        assert refused.value.kind == "model-malformed", (length, refused.value.detail)


@pytest.mark.parametrize("name", ["mlp-dynamo", "cnn-legacy13"])
def test_flipped_bits_take_no_child_down(name: str, open_model: Opener) -> None:
    """Of 500 models with some bits flipped, each is refused or accepted; the child that reads them never dies."""
    data, random = (EXPORTS / f"{name}.onnx").read_bytes(), np.random.default_rng(1)
    ends = Counter(end(open_model, flipped(data, random)) for _ in range(FLIPS))
    assert set(ends) <= KINDS | {"accepted"}, ends
    assert len(ends) >= 3, "flips that do nothing test nothing"


def end(open_model: Opener, data: bytes) -> str:
    """What becomes of a model's bytes."""
    try:
        open_model(data)
    except Refused as refused:
        return refused.kind
    except Crashed as crashed:
        return f"crashed: {crashed}"
    return "accepted"


def flipped(data: bytes, random: np.random.Generator) -> bytes:
    """The bytes with one to eight of their bits flipped."""
    out = bytearray(data)
    for _ in range(random.integers(1, 9)):
        place = int(random.integers(len(data)))
        out[place] ^= 1 << int(random.integers(8))
    return bytes(out)
