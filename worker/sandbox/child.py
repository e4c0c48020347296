"""The child's side: one hostile file, one socket, no secret.

`python -P -m worker.sandbox.child FD PARENT MEMORY_BYTES FILE_BYTES DEVICE`

It answers one question after another and ends when the socket does. Labels never come in beside a model.
"""

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from worker.ablation import devices
from worker.ablation.devices import DeviceFault
from worker.formats.refusals import Refused
from worker.sandbox import frames, later, walls
from worker.sandbox.frames import Array, BrokenFrameError
from worker.sandbox.questions import Answer, Questions

OPENING = ("open_model", "load")  # what finds out how much fits; later, memory is short because somebody else took it
REQUEST_LIMIT = 2 * 1024**3  # bytes of arrays in one request, which our own parent makes


def _answer(
    question: Callable[..., Answer], asked: dict[str, Any], arrays: list[Array], files: list[int], device: str
) -> Answer:
    try:
        found, answer = question(asked, arrays, files)
    except Refused as refused:
        return {"refused": [refused.kind, refused.detail]}, []
    except MemoryError:
        detail = "The file needs more memory than a compute process may use. Make it smaller, or raise the limit."
        return {"refused": ["resource-exhausted", detail]}, []
    except Exception as error:
        if type(error).__name__ != "NetworkError":
            raise
        if device != "cpu" and asked["do"] not in OPENING and devices.is_full(str(error)):
            raise DeviceFault(str(error)) from error
        return {"refused": _why_not_run(str(error))}, []
    return {"found": found}, answer


def _why_not_run(text: str) -> list[str]:
    """The kind and detail of a refusal for what the engine, or onnxruntime, says of a model."""
    reason = text.splitlines()[0][:500].rstrip(". ") if text.strip() else "onnxruntime gives no reason"
    if devices.is_full(reason):
        advice = "Export it for smaller inputs or a batch of one, or raise the limit"
        return [
            "resource-exhausted",
            f"The model needs more memory than a compute process may use: {reason}. {advice}.",
        ]
    advice = "Run it in onnxruntime on an example of the dataset; if that fails too, export it anew"
    return ["model-unsupported", f"The model cannot be run: {reason}. {advice}."]


def main() -> None:
    """Answer until the parent hangs up."""
    socket_number, parent, memory_bytes, file_bytes, device = sys.argv[1:]
    walls.die_with_parent(int(parent))
    later.postpone()
    walls.raise_walls(int(memory_bytes), int(file_bytes), device)
    here = Questions()
    questions = {name: getattr(here, name) for name in vars(Questions) if not name.startswith("_")}
    with socket.socket(fileno=int(socket_number)) as to_parent:
        while True:
            try:
                asked, arrays, files = frames.receive(to_parent, REQUEST_LIMIT, frames.FILES)
            except BrokenFrameError:
                return
            try:
                header, answer = _answer(questions[asked["do"]], asked, arrays, files, device)
            except DeviceFault as fault:
                sys.stderr.write(f"{fault}\n")
                sys.stderr.flush()
                os._exit(devices.FAULT)  # CUDA may hang while it is taken down
            frames.send(to_parent, header, [np.asarray(array) for array in answer])


if __name__ == "__main__":
    main()
