"""Tensors that a pickle of TorchScript's tells of, read off its opcodes: nothing is made of what it asks for."""

import pickletools
from dataclasses import dataclass, field
from typing import Any

# How a tensor is written, plain or quantised.
REBUILD = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_qtensor")
MARK = object()  # on the stack, where a tuple, list or dict begins


@dataclass(frozen=True)
class Storage:
    """What tensors lie in. kind: torch's name of its type, as FloatStorage; key: its member; elements: how many."""

    kind: str
    key: str
    elements: int


@dataclass(frozen=True)
class Tensor:
    """A tensor: the storage that it lies in, and its shape."""

    storage: Storage
    shape: tuple[int, ...]


def storages(data: bytes) -> list[Storage]:
    """All storages, as often as tensors name them. Raises ValueError where the pickle cannot be read."""
    return _read(data).storages


def tensors(data: bytes) -> list[Tensor]:
    """All tensors, in the order they are written in. Raises ValueError where the pickle cannot be read."""
    return _read(data).tensors


def _read(data: bytes) -> "_Stack":
    stack = _Stack()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            stack.take(opcode, argument)
    except (LookupError, TypeError, OverflowError) as error:
        raise ValueError(str(error)[:100]) from error
    return stack


@dataclass(frozen=True)
class _Name:
    """A function or class that a pickle asks for: "module name"."""

    name: str


@dataclass
class _Stack:
    """What a reader of pickles would have on its stack, as far as tensors need it; None stands for all else."""

    values: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    storages: list[Storage] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)

    def take(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Do what an opcode does. Raises ValueError, LookupError or TypeError at one that cannot be done."""
        if opcode.name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.values[-1]
            return
        taken = self._popped(opcode.stack_before)
        made = [self._made(opcode.name, argument, taken)]
        self.values += made if len(opcode.stack_after) == 1 else [None] * len(opcode.stack_after)

    def _popped(self, before: list[pickletools.StackObject]) -> list[Any]:
        """The values that an opcode takes off, in order, without the mark."""
        taken: list[Any] = []
        if pickletools.markobject in before:
            while (value := self.values.pop()) is not MARK:
                taken.append(value)
            before = before[: before.index(pickletools.markobject)]
        taken += [self.values.pop() for _ in before]
        return taken[::-1]

    def _made(self, opcode: str, argument: Any, taken: list[Any]) -> Any:
        match opcode, taken:
            case "MARK", _:
                return MARK
            case "GLOBAL", _:
                return _Name(argument)
            case "BINGET" | "LONG_BINGET", _:
                return self.memo[argument]
            case "EMPTY_TUPLE" | "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3", _:
                return tuple(taken)
            case "BINPERSID", [("storage", _Name(kind), str() as key, str(), int() as elements)]:
                self.storages.append(Storage(kind.removeprefix("torch "), key, elements))
                return self.storages[-1]
            case "BINPERSID", _:
                raise ValueError("a storage is not told as torch tells it")
            case "REDUCE", [_Name(name), (Storage() as storage, int(), tuple(shape), *_)] if name in REBUILD:
                self.tensors.append(Tensor(storage, tuple(int(size) for size in shape)))
                return None
        return argument  # of a number, a string; None of all else
