"""The operators a model may use: those of networks, and the few of other domains that quantised and tabular files need.

Most faults of runtimes sit elsewhere. Every operator here has a kernel in onnxruntime's build for CPUs.
"""

from collections.abc import Iterable
from math import prod

from onnx import GraphProto, NodeProto, TensorProto

from worker.formats import graphs
from worker.formats.refusals import Refused

ALLOWED = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Cast CastLike
    Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace
    DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU
    Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual
    GridSample GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LRN LSTM
    LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max
    MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QLinearConv
    QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
    ReverseSequence RotaryEmbedding Round ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size
    Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile
    TopK Transpose Trilu Unsqueeze Upsample Where Xor
    """.split()
)
ALLOWED_ELSEWHERE = {
    "com.microsoft": frozenset(
        """
        BiasGelu DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul FastGelu FusedMatMul Gelu
        MatMulIntegerToFloat QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearGlobalAveragePool
        QLinearLeakyRelu QLinearMul QLinearSigmoid QLinearSoftmax QuantizeLinear QuickGelu
        """.split()
    ),
    "ai.onnx.ml": frozenset(["Binarizer", "FeatureVectorizer", "Imputer", "Normalizer", "Scaler"]),
}
BRANCHES = ["else_branch", "then_branch"]
LOOPS = frozenset(["Loop", "Scan", "SequenceMap"])
UNITLESS = {
    **dict.fromkeys(["TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"], "an ensemble of trees"),
    **dict.fromkeys(["LinearClassifier", "LinearRegressor"], "a linear model"),
    **dict.fromkeys(["SVMClassifier", "SVMRegressor"], "a support vector machine"),
}
ALONE = "Export the network alone, without pre- and post-processing and control flow."
AGAIN = "Export model.eval(), for example with torch.onnx.export(model.eval(), (example,), 'model.onnx', dynamo=True)."


def check(graph: GraphProto) -> None:
    """Raise `Refused` for the first node, in inner graphs too, that may not be run or is in training mode."""
    _check(graph.node, _constantly_false(graph))


def _check(nodes: Iterable[NodeProto], off: set[str]) -> None:
    for node in nodes:
        if not is_allowed(node):
            raise _refusal(node)
        if _trains(node, off):
            detail = f"Node {_name(node)} is in training mode, so that no answer is the same twice. {AGAIN}"
            raise Refused("model-unsupported", detail)
        for body in graphs.inner(node):
            _check(body.node, off | _constantly_false(body))


def is_allowed(node: NodeProto) -> bool:
    """Is an operator on the list, and without the inner graphs and sparse constants that do not belong there?"""
    attributes = node.attribute
    if any(each.graphs or each.HasField("sparse_tensor") or each.sparse_tensors for each in attributes):
        return False
    bodies = sorted(each.name for each in attributes if each.HasField("g"))
    if node.domain not in graphs.DEFAULT_DOMAINS:
        return not bodies and node.op_type in ALLOWED_ELSEWHERE.get(node.domain, ())
    return bodies == BRANCHES if node.op_type == "If" else not bodies and node.op_type in ALLOWED


def _refusal(node: NodeProto) -> Refused:
    kind = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    if node.domain == "ai.onnx.ml" and node.op_type in UNITLESS:
        return Refused(
            "model-unsupported",
            f"Node {_name(node)} is of {kind}: {UNITLESS[node.op_type]} has no units that could be ablated, so there "
            "is nothing to score. Networks can be scored, such as scikit-learn's MLPClassifier.",
        )
    advice = ALONE
    if node.domain == "com.microsoft":
        advice = "Save it without onnxruntime's fusions: before its optimizer, or with ORT_ENABLE_BASIC at most."
    elif node.op_type in LOOPS:
        advice = "Export recurrent layers as LSTM, GRU or RNN, and the network without loops of its own."
    return Refused(
        "operator-not-allowed",
        f"Node {_name(node)} is a {kind[:100]}, which is not among the operators that are run. {advice}",
    )


def _name(node: NodeProto) -> str:
    return repr((node.name or (node.output[0] if node.output else ""))[:100])


def _trains(node: NodeProto, off: set[str]) -> bool:
    """Does a node draw random numbers, or mix the examples of a batch? Exports of model.eval() do neither."""
    if node.op_type == "Dropout":
        return len(node.input) > 2 and node.input[2] not in off
    return any(each.name == "training_mode" and each.i for each in node.attribute)


def _constantly_false(graph: GraphProto) -> set[str]:
    """The names of all constants that are one `False`, and of the operand that is left out."""
    return {"", *(name for name, tensor in graphs.constants(graph).items() if _is_false(tensor))}


def _is_false(tensor: TensorProto) -> bool:
    one = tensor.data_type == TensorProto.BOOL and prod(tensor.dims) == 1
    return one and not any(tensor.raw_data) and not any(tensor.int32_data)
