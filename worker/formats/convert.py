"""`.pt2` and TorchScript to ONNX, checked against the original. The only module that imports torch.

Both are programs: this runs in a sandboxed child of its own, and what comes out is read like any other upload.
"""

import io
import itertools
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import IO, Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import load_model_from_string

from worker.formats import guesses, programs, pt2, torchscript
from worker.formats.programs import Converted, Input, Kind, Program
from worker.formats.refusals import Refused

OPSET = 18  # of TorchScript's exporter; the other one takes 18 or newer by itself
CHUNK = 8  # examples of one run
GUESSES = 400  # inputs tried on a TorchScript that does not say what it takes
CONVERSIONS = 2  # of these, how many are converted, if they run but do not convert
SIZES = (8, 16, 32, 64, 128, 224, 256)  # tried on axes that a .pt2 leaves open
REASON = re.compile(r"No ONNX function found[^\n]*|Exporting the operator[^\n]*|Unsupported[^\n]*")
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")  # of something in this process's memory, which is nobody's business
Array = NDArray[Any]


def convert(file: Path | int | IO[bytes], kind: Kind, inputs: Sequence[Mapping[str, Any]] | None = None) -> Converted:
    """Convert a `.pt2` or TorchScript file (a path, descriptor or open file) and compare the two on random inputs.

    inputs: [{"name", "dtype", "shape"}], the first axis for examples: shapes of a dataset, to try on a TorchScript that
    has none of its own. Raises `Refused`.
    """
    torch.set_num_threads(1)
    with _quiet(), open(file, "rb") if isinstance(file, Path | int) else file as opened:
        return _pt2(opened) if kind == "pt2" else _script(opened, inputs or [])


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters warn and print at length; what matters becomes a refusal."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _refusing(what: str, kind: str = "model-unsupported") -> Iterator[None]:
    """Turn whatever torch raises into a refusal that gives its reason."""
    try:
        yield
    except (Refused, MemoryError):
        raise
    except Exception as error:
        reason = _reason(error)
        if programs.NO_MEMORY in reason:
            raise MemoryError(reason) from error
        raise Refused(kind, f"{what}: {reason}. {torchscript.EXPORT}") from error


def _reason(error: BaseException) -> str:
    """The line that says most: what an exporter does not know, else the first line of all."""
    chain: list[str] = []
    following: BaseException | None = error
    while following is not None and len(chain) < 10:
        chain.append(str(following))
        following = following.__cause__ or following.__context__
    named = next((found[0] for text in chain if (found := REASON.search(text))), None)
    lines = [line.strip() for line in chain[0].splitlines() if line.strip()]
    told = named or (lines or [type(error).__name__])[0]
    return ADDRESS.sub("0x...", told)[:400].rstrip(".")


def _report(kind: Kind, exporter: str, onnx: bytes) -> dict[str, Any]:
    [opset] = [each.version for each in load_model_from_string(onnx).opset_import if not each.domain]
    return {"from": kind, "torch": torch.__version__, "exporter": exporter, "opset": opset}


def _pt2(file: IO[bytes]) -> Converted:
    program = _loaded(pt2.rebuilt(file))
    with _refusing("torch cannot export the .pt2 to ONNX"):
        model = torch.onnx.export(program, dynamo=True, verbose=False, verify=False).model_proto
        onnx = model.SerializeToString()
    original = _running(program)
    with _refusing("torch cannot run the .pt2"):
        programs.refuse_training(original)
    return programs.checked(original, onnx, _report("pt2", "dynamo", onnx))


def _loaded(archive: bytes) -> Any:
    """The program in an archive of our own. There is nothing to unpickle in it; unpickling is switched off besides."""

    from torch.export.pt2_archive import _package  # brings torch's compiler, two seconds that TorchScript need not pay

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise Refused("unsupported-format", "The .pt2 holds a pickle, which is a program. " + pt2.AGAIN)

    with (
        mock.patch.object(torch, "load", refuse),
        mock.patch.object(torch._C, "_pickle_load_obj", refuse),
        mock.patch.object(_package.pickle, "loads", refuse),
        _refusing("torch cannot load the .pt2", "model-malformed"),
    ):
        return _package.load_pt2(io.BytesIO(archive)).exported_programs["model"]


def _running(program: Any) -> Program:
    """The .pt2's program, with sizes for its open axes on which it runs."""
    specs = [each.arg for each in program.graph_signature.input_specs if each.kind.name == "USER_INPUT"]
    with _refusing("torch cannot run the .pt2"):
        module = program.module()

    def run(arrays: Sequence[Array]) -> list[Array]:
        given = iter(_tensors(arrays))
        # What is no tensor (a flag, a number, None) was fixed when the program was exported.
        return _arrays(module(*(each.value if hasattr(each, "value") else next(given) for each in specs)))

    names = [each.name for each in specs if not hasattr(each, "value")]
    for wanted in SIZES:
        inputs = _inputs(program, names, wanted)
        found = Program("pt2", inputs, run, max(inputs[0].shape[0], 1) if inputs[0].shape else 1)
        if programs.runs(found):
            return found
    raise Refused("model-unsupported", f"The .pt2 does not run on inputs of the shapes it names. {torchscript.EXPORT}")


def _inputs(program: Any, names: Sequence[str], wanted: int) -> tuple[Input, ...]:
    """The inputs, with sizes as near to `wanted` as their bounds allow where an axis is open."""
    sizes = {
        symbol: int(min(max(wanted, bounds.lower), bounds.upper))
        for symbol, bounds in program.range_constraints.items()
    }
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    found = []
    for name in names:
        value = values.get(name)
        if not isinstance(value, torch.Tensor):
            raise Refused("model-unsupported", f"The .pt2's input {name!r} is no tensor. {torchscript.EXPORT}")
        shape = tuple(size if isinstance(size, int) else int(size.node.expr.subs(sizes)) for size in value.shape)
        axes = {axis: str(size) for axis, size in enumerate(value.shape) if not isinstance(size, int)}
        found.append(Input(name, str(value.dtype).removeprefix("torch."), shape, axes))
    if not found:
        raise Refused("model-unsupported", f"The .pt2 takes no tensor. {torchscript.EXPORT}")
    return tuple(found)


def _script(file: IO[bytes], hints: Sequence[Mapping[str, Any]]) -> Converted:
    traced = torchscript.inspected(file)
    archive = io.BytesIO(torchscript.rebuilt(file))
    with _refusing("torch cannot load the TorchScript", "model-malformed"):
        module = torch.jit.load(archive, map_location="cpu")
    refusal: Refused | None = None
    for original in itertools.islice(_settled(module, traced, hints), CONVERSIONS):
        with _refusing("torch cannot run the TorchScript"):
            programs.refuse_training(original)
            module.eval()
        for exporter, export in _exporters(module, original):
            try:
                with _refusing("torch cannot export the TorchScript to ONNX"):
                    onnx = export()
                return programs.checked(original, onnx, _report("torchscript", exporter, onnx))
            except Refused as refused:  # another exporter, or fewer axes left open, may do better
                refusal = refusal or refused
    raise refusal or Refused(
        "model-unsupported",
        "The TorchScript does not say which shape its input has, and it runs on none that was tried. Make it with "
        f"torch.jit.trace, which notes the shape. {torchscript.EXPORT}",
    )


def _settled(
    module: Any, traced: Sequence[torchscript.Traced], hints: Sequence[Mapping[str, Any]]
) -> Iterator[Program]:
    """The TorchScript with inputs on which it runs, the likeliest first."""

    def run(arrays: Sequence[Array]) -> list[Array]:
        return _arrays(module(*_tensors(arrays)))

    state = [each for each in module.state_dict().values() if each.is_floating_point()]
    dtype = str(state[0].dtype).removeprefix("torch.") if state else "float32"
    weights = {dtype: [tuple(each.shape) for each in state]}
    tried = guesses.candidates(_names(module), traced, hints, weights)
    for inputs in itertools.islice(tried, GUESSES):
        free = 0 in inputs[0].open
        found = Program("torchscript", inputs, run, CHUNK if free else max((1, *inputs[0].shape[:1])))
        if programs.runs(found):
            yield found


def _names(module: Any) -> list[str]:
    """The inputs that have to be given, which must be tensors."""
    wanted = [each for each in module.forward.schema.arguments[1:] if not each.has_default_value()]
    for each in wanted:
        if str(each.type) != "Tensor":
            detail = f"The TorchScript's input {each.name[:100]!r} is no tensor. {torchscript.EXPORT}"
            raise Refused("model-unsupported", detail)
    if not wanted:
        raise Refused("model-unsupported", f"The TorchScript takes no tensor. {torchscript.EXPORT}")
    return [each.name for each in wanted]


def _exporters(module: Any, program: Program) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Ways to make ONNX of a TorchScript, by name. The second takes lists and loops apart, which the first cannot."""
    examples = guesses.BATCH if program.is_free() else program.chunk
    arrays = programs.randoms(program, examples, np.random.default_rng(programs.SEED))
    names = [each.name for each in program.inputs]
    outputs = [f"output_{number}" for number in range(len(program.run(arrays)))]
    axes = {each.name: dict(each.open) for each in program.inputs if each.open}
    axes |= {name: {0: "batch"} for name in outputs} if program.is_free() else {}

    def as_script() -> bytes:
        into = io.BytesIO()
        how = {"dynamo": False, "opset_version": OPSET, "input_names": names, "output_names": outputs}
        with torch.no_grad():
            torch.onnx.export(module, tuple(_tensors(arrays)), into, dynamic_axes=axes, **how)
        return into.getvalue()

    def as_program() -> bytes:
        from torch._export.converter import TS2EPConverter

        exported = TS2EPConverter(module, tuple(_tensors(arrays))).convert()
        model = torch.onnx.export(exported, dynamo=True, input_names=names, verbose=False, verify=False).model_proto
        return bytes(model.SerializeToString())

    yield "torchscript", as_script
    yield "dynamo", as_program


def _tensors(arrays: Sequence[Array]) -> list[Any]:
    return [torch.from_numpy(np.array(each)) for each in arrays]


def _arrays(outputs: Any) -> list[Array]:
    """The tensors of what a network gives, in order, however they are nested; what is no tensor is left out."""
    if isinstance(outputs, torch.Tensor):
        plain = outputs.detach()
        return [(plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()]
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    return [array for each in outputs for array in _arrays(each)] if isinstance(outputs, list | tuple) else []
