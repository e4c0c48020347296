"""TorchScript that reaches out, never settles or is none; one that never ends is given to the converter's own tests."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from tests.promises.bad_input.case import Case, Class
from tests.promises.bad_input.programs import EVIL, FORMAT, GIB, MALFORMED, OPERATOR, Members, honest, packed
from tests.worker.torch_nets import save

UNSUPPORTED = "model-unsupported"


class Dense(torch.nn.Module):
    """One layer, which tells how many numbers go in."""

    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Linear(4, 3)


class Reader(Dense):
    """Reads a file of the machine it runs on."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 4] to [N, 3]."""
        return self.out(values + torch.from_file("/etc/passwd", shared=False, size=4))


class Writer(Dense):
    """Writes one."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 4] to [N, 3]."""
        return self.out(values + torch.from_file("/tmp/lesion-was-here", shared=True, size=4).fill_(1.0))


class Loud(Dense):
    """Raises."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 4], never."""
        assert values.size(0) < 0, "not me"
        return self.out(values)


class Random(Dense):
    """Answers something else each time."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 4] to [N, 3]."""
        return self.out(values + torch.rand_like(values))


class Counting(Dense):
    """Answers by how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 4] to [N, 3]."""
        self.asked += 1
        return self.out(values) * self.asked


class Hungry(Dense):
    """Wants sixteen gigabytes."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 4] to [N, 3]."""
        return self.out(values) + torch.ones([65536, 65536]).sum()


class Telling(Dense):
    """Answers text."""

    def forward(self, values: torch.Tensor) -> str:
        """[N, 4] to words."""
        return "passed"


def scripted(of: type[torch.nn.Module], kind: str, says: str) -> Case:
    """A module of these, scripted."""

    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return save(of(), "scripted", Path(folder) / "net", ()).read_bytes()

    return Case((of.__doc__ or "").rstrip("."), make, kind, says, memory=4 * GIB)


def script(name: str, change: Callable[[Members], Members], kind: str, says: str) -> Case:
    """A TorchScript archive with other members."""
    return Case(name, lambda: packed(change(dict(honest("traced")))), kind, says, memory=GIB)


def code(text: bytes) -> Callable[[Members], Members]:
    """All of its sources are these."""
    return lambda members: {n: text if n.endswith(".py") else c for n, c in members.items()}


def damaged() -> bytes:
    """Cut off."""
    return packed(honest("traced"))[:-30]


TORCHSCRIPT = Class(
    "model",
    12,
    (
        scripted(Reader, OPERATOR, "from_file"),
        scripted(Writer, OPERATOR, "from_file"),
        scripted(Loud, UNSUPPORTED, "which shape"),
        scripted(Random, UNSUPPORTED, "model.eval()"),
        scripted(Counting, UNSUPPORTED, "model.eval()"),
        scripted(Hungry, "resource-exhausted", "memory"),
        scripted(Telling, UNSUPPORTED, "which shape"),
        script(
            "code that opens files as it is loaded",
            code(b"def __setstate__(self, s): open('/etc/passwd')\n"),
            OPERATOR,
            "reaches for files",
        ),
        script("code that is no code", code(b"\xff\xfe"), MALFORMED, "utf-8"),
        script("code that is Python", code(b"import os\nos.system('id')\n"), MALFORMED, "Unexpected token"),
        script(
            "no code",
            lambda members: {n: c for n, c in members.items() if not n.startswith("code/")},
            FORMAT,
            "torch.onnx.export",
        ),
        script("a pickle of another program", lambda members: {**members, "data.pkl": EVIL}, MALFORMED, "posix.system"),
        script(
            "constants of another program",
            lambda members: {**members, "constants.pkl": EVIL},
            MALFORMED,
            "posix.system",
        ),
        script("no data", lambda members: {n: c for n, c in members.items() if n != "data.pkl"}, MALFORMED, "data.pkl"),
        Case("cut off", damaged, MALFORMED, "zip"),
    ),
)
