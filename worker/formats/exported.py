"""The program inside a `.pt2`, which is JSON: what it may say, and a copy of it that says nothing else. No torch here.

torch looks operators up with getattr, evaluates the sizes and writes Python from the names, so each is checked first.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from worker.formats.refusals import Refused

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)  # what torch writes into Python source as it is
PATH = re.compile(r"[\w.+\-]*", re.ASCII)  # names of parameters, versions, devices
WORDS = re.compile(r"[\w .,:>=\-\[\]()]*", re.ASCII)  # arguments of operators, which torch quotes
OPERATOR = re.compile(r"torch\.ops\.aten\.(\w+)\.\w+", re.ASCII)
# Not all of _operator: its attrgetter and call would lead from a tensor to anything.
ARITHMETIC = re.compile(
    r"_operator\.(?:add|sub|mul|floordiv|mod|truediv|pow|neg|pos|abs|ge|gt|le|lt|eq|ne|and_|or_|getitem)"
    r"|math\.(?:ceil|floor|trunc|sqrt)|torch\.sym_(?:int|float|ite|max|min|not|sum)"
)
BLOCKS = frozenset(f"torch.ops.higher_order.wrap_with_{what}" for what in ("set_grad_enabled", "autocast"))
REACHING_OUT = frozenset("from_file set_ set _print".split())
CALLS = frozenset(
    """
    Symbol Integer Float Rational Add Mul Pow Max Min Mod Equality Unequality GreaterThan LessThan StrictGreaterThan
    StrictLessThan And Or Not FloorDiv ModularIndexing Where PythonMod CleanDiv CeilToInt FloorToInt CeilDiv LShift
    RShift PowByNatural FloatPow FloatTrueDiv IntTrueDiv TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat
    Identity
    """.split()
)
SIZE_LIMIT = 20_000  # characters of the expression of one size
LARGEST = 2**63
SCOPES = ("nn_module_stack", "torch_fn")  # of a node's notes, those that name its layer
Json = dict[str, Any]
LEAF: Json = {"type": None, "context": None, "children_spec": []}


def cleaned(program: Json) -> Json:
    """A copy of `models/model.json` that holds only operators, sizes and names of the known forms, on the CPU.

    The nests that its inputs and outputs were packed in are replaced by plain tuples, and its guards, which are Python,
    are left out. Raises `Refused` naming what is not allowed.
    """
    graph_module = _of(program, "graph_module")
    copy = _copied({**program, "guards_code": [], "graph_module": _bare(graph_module)}, "")
    assert isinstance(copy, dict)
    inputs = [each for each in _listed(graph_module, "signature", "input_specs") if "user_input" in each]
    results = [each for each in _listed(graph_module, "signature", "output_specs") if "user_output" in each]
    copy["graph_module"]["module_call_graph"] = [_calling([_name(each) for each in inputs], len(results))]
    _refuse_training(graph_module)
    return copy


def checked(entries: Json) -> Json:
    """A copy of the table of weights or constants, checked in the same way."""
    copy = _copied(entries, "")
    assert isinstance(copy, dict)
    return copy


def _bare(graph_module: Json) -> Json:
    return {**graph_module, "module_call_graph": [], "metadata": {}, "treespec_namedtuple_fields": {}}


def _of(mapping: Any, key: str) -> Json:
    found = mapping.get(key) if isinstance(mapping, Mapping) else None
    if not isinstance(found, dict):
        raise _malformed(f'it has no "{key}"')
    return found


def _listed(graph_module: Json, key: str, inner: str) -> list[Json]:
    found = _of(graph_module, key).get(inner)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise _malformed(f'its {key} has no "{inner}"')
    return found


def _malformed(what: str) -> Refused:
    return Refused("model-malformed", f"The .pt2 cannot be read: {what}. Save it again with torch.export.save.")


def _name(spec: Json) -> str:
    """The name of an input, whether it is a tensor or a constant."""
    user_input = _of(spec, "user_input")
    found = next((each["name"] for each in _of(user_input, "arg").values() if isinstance(each, dict)), None)
    return _fitting(str(found), NAME, "name")


def _calling(inputs: Sequence[str], outputs: int) -> Json:
    """Call it with these inputs, get so many tensors back."""
    signature: Json = {
        "inputs": [],
        "outputs": [],
        "in_spec": _treespec([_tuple(len(inputs)), {"type": "builtins.dict", "context": "[]", "children_spec": []}]),
        "out_spec": _treespec([LEAF] * outputs),
        "forward_arg_names": list(inputs),
    }
    return {"fqn": "", "signature": signature}


def _tuple(leaves: int) -> Json:
    return {"type": "builtins.tuple", "context": "null", "children_spec": [LEAF] * leaves}


def _treespec(children: list[Json]) -> str:
    return json.dumps([1, {"type": "builtins.tuple", "context": "null", "children_spec": children}])


def _refuse_training(graph_module: Json) -> None:
    for spec in _listed(graph_module, "signature", "output_specs"):
        if "buffer_mutation" in spec:
            name = str(spec["buffer_mutation"])[:200]
            raise Refused(
                "model-unsupported",
                f"The .pt2 changes its own buffers when it runs ({name}), as in training. Call model.eval() before "
                "torch.export.export.",
            )


def _copied(value: Any, key: str) -> Any:
    """A checked copy of what lies under `key`, at any depth (json itself bounds that)."""
    if isinstance(value, dict):
        if set(value) == {"type", "index"}:  # a device, which may be a GPU of the machine that exported
            return {"type": "cpu", "index": None}
        return {_fitting(name, PATH, "name"): _item(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_copied(item, key) for item in value]
    return _checked(value, key) if isinstance(value, str) else value


def _item(item: Any, key: str) -> Any:
    if key == "metadata":
        notes = item if isinstance(item, dict) else {}
        return {name: _printable(notes[name]) for name in SCOPES if isinstance(notes.get(name), str)}
    return _copied(item, key)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _checked(text: str, key: str) -> str:
    match key:
        case "target":
            return _operator(text)
        case "expr_str":
            return _size(text)
        case "as_string" | "as_strings":
            return _fitting(text, WORDS, "argument")
        case "name" | "as_name":
            return text if text == "" else _fitting(text, NAME, "name")
    if not PATH.fullmatch(text):  # it isn't shown: a trace of calls, say, has paths of the machine that exported
        raise Refused("model-malformed", f"The .pt2's {key[:100]!r} holds what torch does not write there.")
    return text


def _fitting(text: str, form: re.Pattern[str], what: str) -> str:
    if not form.fullmatch(text):
        raise Refused("model-malformed", f"The .pt2 holds the {what} {text[:100]!r}, which torch does not write.")
    return text


def _operator(target: str) -> str:
    found = OPERATOR.fullmatch(target)
    if not (ARITHMETIC.fullmatch(target) or target in BLOCKS or (found and found[1] not in REACHING_OUT)):
        raise Refused(
            "operator-not-allowed",
            f"The .pt2 calls {target[:100]!r}; only torch.ops.aten is allowed. Export it to ONNX yourself with "
            "torch.onnx.export and upload that.",
        )
    return target


def _size(text: str) -> str:
    """An expression of sizes as sympy prints it: calls of known functions, on numbers and symbols."""
    try:
        plain = len(text) <= SIZE_LIMIT and _is_plain(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        plain = False
    if not plain:
        raise Refused("model-malformed", f"The .pt2 holds the size {text[:100]!r}, which torch does not write.")
    return text


def _is_plain(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=bool()):
            return True
        case ast.Constant(value=int() | float() as number):
            return abs(number) < LARGEST
        case ast.Constant(value=str(text)):
            return re.fullmatch(r"[a-z]*[\d.e+\-]*", text, re.ASCII) is not None
        case ast.Name(id="true" | "false" | "oo" | "int_oo"):
            return True
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _is_plain(operand)
        case ast.Call(func=ast.Name(id=function), args=args, keywords=keywords):
            return function in CALLS and all(map(_is_plain, [*args, *(keyword.value for keyword in keywords)]))
    return False
