"""Libraries that a child imports only if it uses them.

onnx_ir imports sympy for arithmetic on symbolic sizes, which hardly any model makes us do: half a second of every
child's start, and the one `eval` among all that it imports.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

SELDOM = ("sympy", "onnx_ir._symbolic_shapes")  # the second asks for the first's functions as it is imported


class _Later:
    """Finds a module as usual, and has it executed when something of it is first asked for."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in SELDOM:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def postpone() -> None:
    """From here on; for whole processes."""
    sys.meta_path.insert(0, _Later)
