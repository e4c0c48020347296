"""What a child seldom needs is not imported until it is needed, and then works as ever."""

import subprocess
import sys

from service import examples

SCRIPT = """
import os, sys
from worker.sandbox import later
later.postpone()
from worker.sandbox.questions import Questions
file = os.open(sys.argv[1], os.O_RDONLY)
found, _ = Questions().open_model({"threads": 1, "device": "cpu", "room": None, "output": None}, [], [file])
print(len(found["sites"]), "sympy.core" in sys.modules)
import onnx_ir
print((onnx_ir.SymbolicDim("batch") + 1).value, "sympy.core" in sys.modules)
"""


def test_opening_a_model_imports_no_sympy() -> None:
    """Not for a model with a symbolic batch; arithmetic on such sizes imports it, and is right."""
    command = [sys.executable, "-P", "-c", SCRIPT, str(examples.paths("learned")[0])]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=150)
    assert run.stdout.splitlines() == ["4 False", "batch + 1 True"]
