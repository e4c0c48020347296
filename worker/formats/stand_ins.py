"""Operators of which ONNX knows no shapes, and those that stand in for them while shapes are inferred."""

from collections.abc import Callable, Sequence

from onnx import GraphProto, NodeProto, TensorProto, helper

from worker.formats import graphs

MARK = "lesion_stand_in_"  # begins the names of nodes and values that stand in
POOLING = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")
RECURRENT = ("direction", "hidden_size", "layout")
QGEMM_SCALE = 7  # the operand without which a QGemm gives floats
Nodes = list[NodeProto]
Rule = Callable[[NodeProto], Nodes | None]


def put(graph: GraphProto) -> Nodes:
    """Put stand-ins into a graph, inner graphs too; the nodes that `take` puts back."""
    away: Nodes = []
    for each in list(graphs.graphs(graph)):
        if any(_rule(node) for node in each.node):
            _rewrite(each, [one for node in each.node for one in _standing_in(node, away)])
    return away


def take(graph: GraphProto, away: Nodes) -> None:
    """Take the stand-ins out again, and what became known of values that are theirs alone."""
    for each in list(graphs.graphs(graph)):
        if any(node.name.startswith(MARK) for node in each.node):
            _rewrite(each, [one for node in each.node for one in _put_back(node, away)])
        spare = [place for place, value in enumerate(each.value_info) if value.name.startswith(MARK)]
        for place in reversed(spare):
            del each.value_info[place]


def _rewrite(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _rule(node: NodeProto) -> Rule | None:
    return RULES.get((node.domain, node.op_type))


def _standing_in(node: NodeProto, away: Nodes) -> Nodes:
    rule = _rule(node)
    instead = rule(node) if rule is not None and node.output and len(node.input) >= 1 else None
    if not instead:
        return [node]
    number = len(away)
    away.append(NodeProto.FromString(node.SerializeToString()))
    for place, each in enumerate(instead):
        each.name = f"{MARK}{number}_{place}"
    return instead


def _put_back(node: NodeProto, away: Nodes) -> Nodes:
    if not node.name.startswith(MARK):
        return [node]
    number, _, place = node.name.removeprefix(MARK).partition("_")
    return [away[int(number)]] if place == "0" else []


def _plain(operator: str, *places: int, keep: Sequence[str] = ()) -> Rule:
    """The operator on some of the operands, with some of the attributes."""

    def rule(node: NodeProto) -> Nodes | None:
        if max(places) >= len(node.input):
            return None
        new = helper.make_node(operator, [node.input[place] for place in places], [*node.output])
        new.attribute.extend(each for each in node.attribute if each.name in keep)
        return [new]

    return rule


def _floating(before: Rule) -> Rule:
    """As another rule has it, and made float32."""

    def rule(node: NodeProto) -> Nodes | None:
        made = before(node)
        if made is None:
            return None
        between = MARK + node.output[0]
        made[-1].output[0] = between
        return [*made, helper.make_node("Cast", [between], [node.output[0]], to=TensorProto.FLOAT)]

    return rule


def _pooled(operator: str) -> Rule:
    """A pool, unless its channels are last."""

    def rule(node: NodeProto) -> Nodes | None:
        last = any(each.name == "channels_last" and each.i for each in node.attribute)
        return None if last else _plain(operator, 0, keep=POOLING)(node)

    return rule


def _qgemm(node: NodeProto) -> Nodes | None:
    rule = _plain("Gemm", 0, 3, keep=("transA", "transB"))
    quantised = len(node.input) > QGEMM_SCALE and node.input[QGEMM_SCALE]
    return rule(node) if quantised else _floating(rule)(node)


def _joined(node: NodeProto) -> Nodes | None:
    return _plain("Concat", *range(2, len(node.input), 3), keep=("axis",))(node) if len(node.input) > 2 else None


def _side_by_side(node: NodeProto) -> Nodes | None:
    return [helper.make_node("Concat", [*node.input], [*node.output], axis=1)]


def _fused_product(node: NodeProto) -> Nodes | None:
    flags = {each.name: each.i for each in node.attribute}
    if flags.get("transBatchA") or flags.get("transBatchB") or len(node.input) != 2:
        return None
    left, right = "...ji" if flags.get("transA") else "...ij", "...kj" if flags.get("transB") else "...jk"
    if (left, right) == ("...ij", "...jk"):
        return [helper.make_node("MatMul", [*node.input], [*node.output])]
    return [helper.make_node("Einsum", [*node.input], [*node.output], equation=f"{left},{right}->...ik")]


SAME = _plain("Identity", 0)
FLOATS = _floating(SAME)
RULES: dict[tuple[str, str], Rule] = {
    **{("com.microsoft", name): SAME for name in ("BiasGelu", "FastGelu", "Gelu", "QuickGelu")},
    **{("com.microsoft", name): SAME for name in ("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax")},
    ("com.microsoft", "DequantizeLinear"): _plain("DequantizeLinear", 0, 1),
    ("com.microsoft", "DynamicQuantizeLSTM"): _plain("LSTM", 0, 1, 2, keep=RECURRENT),
    ("com.microsoft", "DynamicQuantizeMatMul"): _plain("MatMul", 0, 1),
    ("com.microsoft", "FusedMatMul"): _fused_product,
    ("com.microsoft", "MatMulIntegerToFloat"): _floating(_plain("MatMulInteger", 0, 1)),
    ("com.microsoft", "QGemm"): _qgemm,
    ("com.microsoft", "QLinearAdd"): _plain("Add", 0, 3),
    ("com.microsoft", "QLinearAveragePool"): _pooled("AveragePool"),
    ("com.microsoft", "QLinearConcat"): _joined,
    ("com.microsoft", "QLinearGlobalAveragePool"): _pooled("GlobalAveragePool"),
    ("com.microsoft", "QLinearMul"): _plain("Mul", 0, 3),
    ("com.microsoft", "QuantizeLinear"): _plain("QuantizeLinear", 0, 1, 2),
    ("ai.onnx.ml", "Binarizer"): SAME,
    ("ai.onnx.ml", "FeatureVectorizer"): _floating(_side_by_side),
    ("ai.onnx.ml", "Imputer"): SAME,
    ("ai.onnx.ml", "Normalizer"): FLOATS,
    ("ai.onnx.ml", "Scaler"): FLOATS,
}
