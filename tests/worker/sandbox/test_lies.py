"""A child that lies: whatever it answers, its parent believes only what fits, and ends it for anything else."""

import os
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import wait_until
from tests.worker.sandbox.test_child import INPUTS, READING, child, gone
from worker.formats.refusals import Refused
from worker.sandbox import frames
from worker.sandbox.parent import Child, Crashed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What is said to be read."""
    (tmp_path / "file").write_bytes(b"anything")
    return tmp_path / "file"


@pytest.mark.parametrize(
    "answer",
    [
        {"refused": ["made-up", "detail"]},
        {"refused": ["resource-exhausted", {}]},
        {"refused": "no"},
        {"found": ["a list"]},
        {"found": None, "refused": None},
        {},
    ],
)
def test_an_answer_that_is_none_is_a_crash(answer: dict[str, Any]) -> None:
    """A hostile child may say what it likes: no unknown problem and no other type gets past, and it is ended."""
    with child() as one:
        with pytest.raises(Crashed, match="no answer"):
            one._result(answer)
        wait_until(lambda: gone(one.pid), "the child is ended")


def test_a_refusal_holds_no_control_characters() -> None:
    """What goes into logs, terminals and a database is plain text, whatever a child puts into it."""
    with child() as one, pytest.raises(Refused) as refused:
        one._result({"refused": ["model-malformed", "evil\x1b[2J\0 \ud800 line\nnext é"]})
    assert refused.value.detail == "evil?[2J? ? line\nnext é"


def answered(one: Child, found: dict[str, Any], arrays: list[Any]) -> threading.Thread:
    """Sits where the child's end of the socket is, and answers the next question with this."""
    one._socket.close()
    one._socket, theirs = socket.socketpair()

    def answer() -> None:
        with theirs:
            frames.receive(theirs, 2**30, files=2)
            frames.send(theirs, {"found": found}, arrays)

    liar = threading.Thread(target=answer)
    liar.start()
    return liar


LOOKED = {
    "format": "npz",
    "examples": 2,
    "inputs": [{"name": "x", "dtype": "float32", "shape": [2, 1000]}],
    "labels": None,
    "warnings": [],
}
LIES: dict[str, Any] = {
    "inputs that were not written": ({"dataset": LOOKED, "names": []}, []),
    "labels for others": ({"dataset": LOOKED, "names": ["labels"]}, [np.zeros(3, np.int64)]),
    "arrays without names": ({"dataset": LOOKED, "names": []}, [np.zeros(2, np.int64)]),
    "no names": ({"dataset": LOOKED}, []),
    "no dataset": ({"names": []}, []),
    "another form": ({"dataset": {**LOOKED, "examples": "2"}, "names": []}, []),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_dataset_that_lies_is_a_crash(lie: str, file: Path, tmp_path: Path) -> None:
    """What is said of a dataset must fit together, and with the file that was written; the child is ended."""
    with child() as one:
        liar = answered(one, *LIES[lie])
        with pytest.raises(Crashed, match="something else"):
            one.read_dataset(file, tmp_path / "x", READING)
        liar.join()
        wait_until(lambda: gone(one.pid), "the child is ended")


def test_a_dataset_that_was_only_looked_at_need_not_be_written(file: Path) -> None:
    """With no reading nothing is in the file, and nobody looks there."""
    with child() as one:
        liar = answered(one, {"dataset": LOOKED, "names": []}, [])
        assert one.read_dataset(file, Path(os.devnull)) == (LOOKED, {})
        liar.join()


@pytest.mark.parametrize("loaded", [{}, {"tail": [2**30, 2**30], "warnings": []}, {"tail": [3], "warnings": [1]}])
def test_an_output_that_cannot_be_held_is_a_crash(loaded: dict[str, Any], file: Path) -> None:
    """The shape that a model's process names decides what its parent allocates later."""
    with child() as one:
        liar = answered(one, loaded, [])
        with pytest.raises(Crashed, match="something else"):
            one.load(file, INPUTS, ["conv"], "zero")
        liar.join()


@pytest.mark.parametrize(
    "arrays",
    [
        [],
        [np.zeros((2, 5), np.float32)],
        [np.zeros((2, 5), np.float32), np.zeros((2, 4), np.float32)],
        [np.zeros((2, 5)), np.zeros((2, 5))],
    ],
    ids=["none", "one", "of another shape", "of another type"],
)
def test_activations_of_another_form_are_a_crash(arrays: list[Any]) -> None:
    """Two numbers for each unit and example, or the child is ended."""
    with child() as one:
        liar = answered(one, {}, arrays)
        with pytest.raises(Crashed):
            one.activations(np.arange(2), 5)
        liar.join()
