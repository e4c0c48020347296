"""Damage to ONNX models that stay protobuf: fields, names, operators, shapes and weights changed by what they mean."""

from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

from benchmarks.fuzz import damage
from worker.formats.operators import ALLOWED, ALLOWED_ELSEWHERE

OPERATORS = sorted(ALLOWED)
ELSEWHERE = [(domain, name) for domain in sorted(ALLOWED_ELSEWHERE) for name in sorted(ALLOWED_ELSEWHERE[domain])]
FORBIDDEN = (
    "Loop",
    "Scan",
    "If",
    "SequenceMap",
    "RandomNormal",
    "StringNormalizer",
    "Foo",
    "Optional",
    "NonMaxSuppression",
)
LARGEST = 64 * 1024  # bytes of weights that a changed shape may ask for
# Attributes that many operators read, with values at which kernels go wrong.
ATTRIBUTES: dict[str, tuple[Any, ...]] = {
    "axis": (-100, -1, 0, 1, 2, 2**31, -(2**63)),
    "axes": ([], [0], [-1], [0, 0], [99], [2**40]),
    "kernel_shape": ([0, 0], [1], [3, 3], [-1, -1], [2**31, 2**31], [99, 99]),
    "pads": ([-1] * 4, [0] * 4, [2**31] * 4, [1], [10**6] * 4),
    "strides": ([0, 0], [1, 1], [-1, -1], [2**40, 1]),
    "dilations": ([0, 0], [2, 2], [-1, 1], [2**31, 2**31]),
    "group": (0, 1, 2, -1, 2**31, 3),
    "perm": ([], [0], [1, 0], [0, 0], [3, 1, 2, 0], [-1, 0]),
    "to": (0, 1, 6, 7, 8, 9, 10, 16, 17, 23, 99),
    "transA": (0, 1, 2),
    "transB": (0, 1, 2),
    "alpha": (0.0, -1.0, float("nan"), 1e38),
    "epsilon": (0.0, -1.0, float("nan")),
    "blocksize": (0, 1, 2, -1, 2**40),
    "num_groups": (0, 1, 2, -1, 2**40),
    "hidden_size": (0, 1, -1, 2**40),
    "num_heads": (0, 1, 3, -1, 2**40),
    "q_num_heads": (0, 1, 3, -1),
    "keepdims": (0, 1, 2),
    "ceil_mode": (0, 1),
    "auto_pad": (b"SAME_UPPER", b"VALID", b"SAME_LOWER", b"\xff", b""),
    "mode": (b"nearest", b"linear", b"cubic", b"wrap", b"reflect", b"edge", b"DCR", b"x"),
    "equation": (b"ij,jk->ik", b"ii->i", b"...", b"i->ijk", b",,,", b"ab,bc,cd->ad", b"a" * 60),
    "direction": (b"bidirectional", b"reverse", b"up"),
    "split": ([0], [1, 1], [-1, 3], [2**40]),
    "value_ints": ([], [-1], [2**40], [0, 0, 0, 0]),
    "batch_dims": (-5, 0, 1, 9),
    "largest": (0, 1),
    "training_mode": (0, 1),
}


def of_model(data: bytes, random: Random) -> bytes:
    """A model with one to four changes; now and then to its bytes."""
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return damage.blind(data, random, data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        random.choice(CHANGES)(model, random)
    try:
        made: bytes = model.SerializeToString()
    except ValueError:  # a text that is none
        return damage.blind(data, random, data)
    return _field_again(made, random) if random.random() < 0.04 else made


def _field_again(data: bytes, random: Random) -> bytes:
    """A piece of the file behind it once more: protobuf takes the last of two, or puts both together."""
    start = random.randrange(len(data) or 1)
    return data + data[start : start + random.choice((2, 16, 300, len(data)))]


def _nodes(model: ModelProto) -> list[NodeProto]:
    return [*model.graph.node, *(node for function in model.functions for node in function.node)]


def _any_field(model: ModelProto, random: Random) -> None:
    """Some field of some message, whatever it means."""
    message = random.choice(_messages(model))
    fields = list(message.DESCRIPTOR.fields)
    present = [field for field, _ in message.ListFields()]
    field = random.choice(present if present and random.random() < 0.8 else fields)
    if _is_repeated(field):
        _repeated(getattr(message, field.name), field, random)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        message.ClearField(field.name) if random.random() < 0.7 else getattr(message, field.name).SetInParent()
    elif random.random() < 0.25:
        message.ClearField(field.name)
    else:
        _assign(message, field, random)


def _is_repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def _repeated(values: Any, field: Any, random: Random) -> None:
    place = random.randrange(len(values)) if len(values) else None
    kind = random.randrange(4)
    if place is None or kind == 0:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            values.add()
        else:
            values.append(_scalar(field, random))
    elif kind == 1:
        del values[place]
    elif kind == 2:
        again = random.choice((1, 1, 2, 100))
        for _ in range(again):
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                values.add().CopyFrom(values[place])
            else:
                values.append(values[place])
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        other = random.randrange(len(values))
        copy = type(values[place])()
        copy.CopyFrom(values[place])
        values[place].CopyFrom(values[other])
        values[other].CopyFrom(copy)
    else:
        values[place] = _scalar(field, random)


def _assign(message: Any, field: Any, random: Random) -> None:
    setattr(message, field.name, _scalar(field, random))


def _scalar(field: Any, random: Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return random.choice(
            ("", "x", "y", "h", "p", "a", "N" * 300, "é\u202e", "\0", "ai.onnx.ml", "/etc/passwd", "batch")
        )
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.randbytes(random.choice((0, 1, 4, 16, 24, 96, 1000)))
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return random.choice((0.0, -1.0, 0.5, 1e38, float("nan"), float("inf")))
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random.choice([each.number for each in field.enum_type.values])
    bits = {FieldDescriptor.TYPE_INT32: 31, FieldDescriptor.TYPE_INT64: 63}.get(field.type)
    value = damage.integer(random)
    return max(min(value, 2**bits - 1), -(2**bits)) if bits else value % 2**32


def _messages(root: Message) -> list[Any]:
    found: list[Any] = [root]
    for message in found:
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                found.extend(value if _is_repeated(field) else [value])
    return found


def _operator(model: ModelProto, random: Random) -> None:
    """A node does something else with the same inputs."""
    if nodes := _nodes(model):
        node = random.choice(nodes)
        node.domain = ""
        match random.randrange(10):
            case 0:
                node.op_type = random.choice(FORBIDDEN)
            case 1 | 2:
                node.domain, node.op_type = random.choice(ELSEWHERE)
                if not any(each.domain == node.domain for each in model.opset_import):
                    model.opset_import.add(domain=node.domain, version=1)
            case _:
                node.op_type = random.choice(OPERATORS)


def _new_node(model: ModelProto, random: Random) -> None:
    """A node more, between another and what follows it; its operands are any values of the graph."""
    if not model.graph.node:
        return
    place = random.randrange(len(model.graph.node))
    before = model.graph.node[place]
    if not before.output:
        return
    names = [name for node in model.graph.node[: place + 1] for name in node.output]
    names += [each.name for each in model.graph.initializer]
    name = before.output[0]
    inside = f"{name}.inside"
    before.output[0] = inside
    node = NodeProto(op_type=random.choice(OPERATORS), input=[inside], output=[name], name="new")
    node.input.extend(random.choices(names, k=random.choice((0, 0, 1, 1, 2, 3))))
    for _ in range(random.choice((0, 1, 2))):
        _put_attribute(node, random)
    nodes = [*model.graph.node[: place + 1], node, *model.graph.node[place + 1 :]]
    copies = [NodeProto.FromString(each.SerializeToString()) for each in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _wire(model: ModelProto, random: Random) -> None:
    """A node's input is another value, or one more, one less."""
    nodes = _nodes(model)
    if not nodes:
        return
    node = random.choice(nodes)
    names = [name for each in nodes for name in (*each.input, *each.output)] + [""]
    match random.randrange(4):
        case 0 if node.input:
            del node.input[random.randrange(len(node.input))]
        case 1:
            node.input.append(random.choice(names))
        case 2 if node.output:
            node.output[random.randrange(len(node.output))] = random.choice(names)
        case _ if node.input:
            node.input[random.randrange(len(node.input))] = random.choice(names)


def _attribute(model: ModelProto, random: Random) -> None:
    """An attribute of a node is another, or gone."""
    nodes = _nodes(model)
    if not nodes:
        return
    node = random.choice([each for each in nodes if each.attribute] or nodes)
    if node.attribute and random.random() < 0.6:
        chosen = random.choice(node.attribute)
        match random.randrange(5):
            case 0:
                node.attribute.remove(chosen)
            case 1 if chosen.ints:
                chosen.ints[random.randrange(len(chosen.ints))] = damage.integer(random)
            case 2:
                chosen.i = max(min(damage.integer(random), 2**63 - 1), -(2**63))
            case 3:
                chosen.type = random.choice(AttributeProto.AttributeType.values())
            case _:
                _fill(chosen, chosen.name, random)
        return
    _put_attribute(node, random)


def _put_attribute(node: NodeProto, random: Random) -> None:
    name = random.choice(list(ATTRIBUTES))
    found = next((each for each in node.attribute if each.name == name), None)
    _fill(node.attribute.add() if found is None else found, name, random)


def _fill(attribute: AttributeProto, name: str, random: Random) -> None:
    attribute.Clear()
    attribute.name = name
    value = random.choice(ATTRIBUTES.get(name, (0, [1], 1.0, b"x")))
    match value:
        case int():
            attribute.i, attribute.type = value, AttributeProto.INT
        case float():
            attribute.f, attribute.type = value, AttributeProto.FLOAT
        case bytes():
            attribute.s, attribute.type = value, AttributeProto.STRING
        case _:
            attribute.ints.extend(value)
            attribute.type = AttributeProto.INTS


def _weights(model: ModelProto, random: Random) -> None:
    """Weights of another shape or type, with as many bytes as those need."""
    tensors = [
        *model.graph.initializer,
        *(each.t for node in _nodes(model) for each in node.attribute if each.HasField("t")),
    ]
    if not tensors:
        return
    tensor = random.choice(tensors)
    width = {
        TensorProto.INT64: 8,
        TensorProto.DOUBLE: 8,
        TensorProto.INT8: 1,
        TensorProto.UINT8: 1,
        TensorProto.BOOL: 1,
    }
    if random.random() < 0.3:
        tensor.data_type = random.choice((1, 2, 3, 6, 7, 9, 10, 11, 16, 17, 21, 22))
    sizes = list(tensor.dims)
    match random.randrange(5):
        case 0 if sizes:
            sizes[random.randrange(len(sizes))] = random.choice((0, 1, 2, 3, 5, 7, 64))
        case 1:
            sizes.insert(random.randrange(len(sizes) + 1), random.choice((0, 1, 2)))
        case 2 if sizes:
            del sizes[random.randrange(len(sizes))]
        case 3:
            random.shuffle(sizes)
        case _ if tensor.HasField("raw_data"):
            tensor.raw_data = damage.blind(tensor.raw_data, random, tensor.raw_data)[: len(tensor.raw_data)]
    count = 1
    for size in sizes:
        count *= size
    each = {TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2, **width}.get(tensor.data_type, 4)
    if 0 <= count * each <= LARGEST:
        old = tensor.raw_data or b"\0\0\x80\x3f"
        for field in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "raw_data"):
            tensor.ClearField(field)
        tensor.dims[:] = sizes
        tensor.raw_data = (old * (count * each // len(old) + 1))[: count * each]


def _integers(model: ModelProto, random: Random) -> None:
    """A constant of whole numbers (a shape, axes, pads) holds others."""
    found = [each for each in model.graph.initializer if each.data_type == TensorProto.INT64 and each.raw_data]
    found += [a.t for n in _nodes(model) for a in n.attribute if a.t.data_type == TensorProto.INT64 and a.t.raw_data]
    if not found:
        return _weights(model, random)
    tensor = random.choice(found)
    made = bytearray(tensor.raw_data)
    place = random.randrange(max(len(made) // 8, 1)) * 8
    value = max(min(damage.integer(random), 2**63 - 1), -(2**63))
    made[place : place + 8] = value.to_bytes(8, "little", signed=True)
    tensor.raw_data = bytes(made)
    return None


def _interface(model: ModelProto, random: Random) -> None:
    """An input or output of another type, rank or size."""
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if not values:
        return
    kind = random.choice(values).type.tensor_type
    dims = kind.shape.dim
    match random.randrange(5):
        case 0:
            kind.elem_type = random.choice((0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 16, 17, 99))
        case 1 if dims:
            dims[random.randrange(len(dims))].dim_value = random.choice((0, 1, 2, 3, 8, -1, 10**6, 2**31, 2**62))
        case 2 if dims:
            dims[random.randrange(len(dims))].dim_param = random.choice(("", "N", "batch", "x" * 300))
        case 3:
            dims.add().dim_value = random.choice((1, 2, 2**20))
        case _ if dims:
            del dims[random.randrange(len(dims))]


CHANGES = (
    _any_field,
    _any_field,
    _operator,
    _new_node,
    _new_node,
    _wire,
    _attribute,
    _attribute,
    _weights,
    _integers,
    _interface,
)
