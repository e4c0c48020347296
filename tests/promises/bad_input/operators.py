"""ONNX with operators that may not be run: unknown, random, of other domains, with graphs inside, without an end."""

from typing import Any

from onnx import NodeProto, helper

from tests.promises.bad_input.case import Case, Class, from_zoo
from tests.zoo import networks
from tests.zoo.graphs import FLOAT, OPSET, network, saved, weights, with_functions

KIND = "operator-not-allowed"


def of_node(node: NodeProto, *domains: str, **constants: tuple[int, ...]) -> bytes:
    """A network with this node in it, from h to g."""
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in domains)]
    held = [weights(name, *shape) for name, shape in constants.items()]
    return saved(network([node], opset_imports=opsets, constants=held))


def plain(operator: str, says: str | None = None, **attributes: Any) -> Case:
    """An operator of ONNX itself that is not on the list."""
    return Case(
        operator,
        lambda: of_node(helper.make_node(operator, ["h"], ["g"], **attributes)),
        KIND,
        says or operator,
    )


def of_domain(operator: str, domain: str, **attributes: Any) -> Case:
    """An operator of another domain."""
    return Case(
        f"{operator} of {domain}",
        lambda: of_node(helper.make_node(operator, ["h"], ["g"], domain=domain, **attributes), domain),
        KIND,
        f"{domain}::{operator}",
    )


def body(inputs: int, outputs: int) -> Any:
    """A graph that passes its inputs on."""
    values = [helper.make_tensor_value_info(f"i{n}", FLOAT, None) for n in range(inputs)]
    results = [helper.make_tensor_value_info(f"o{n}", FLOAT, None) for n in range(outputs)]
    return helper.make_graph(
        [helper.make_node("Identity", [f"i{min(n, inputs - 1)}"], [f"o{n}"]) for n in range(outputs)],
        "body",
        values,
        results,
    )


def hidden_in(operator: str, attribute: str, *, several: bool = False) -> bytes:
    """A graph where none belongs."""
    node = helper.make_node(operator, ["h"], ["g"])
    node.attribute.append(helper.make_attribute(attribute, [body(1, 1)] if several else body(1, 1)))
    return of_node(node)


def in_function(operator: str) -> bytes:
    """Forbidden in a local function, which is inlined first."""
    return saved(with_functions([("own", [helper.make_node(operator, ["i"], ["o"])])]))


def unknown_function() -> bytes:
    """A call of a local function that is not there."""
    model = with_functions([("own", [helper.make_node("Relu", ["i"], ["o"])])])
    model.graph.node[2].op_type = "other"
    return saved(model)


def drawn() -> bytes:
    """Noise that is added."""
    noise = helper.make_node("RandomNormal", [], ["noise"], shape=[1, 6])
    return saved(network([noise, helper.make_node("Add", ["h", "noise"], ["g"])]))


ONNX = Class(
    "model",
    24,
    (
        Case("RandomNormal", drawn, KIND, "RandomNormal"),
        Case("an operator without a name", lambda: of_node(helper.make_node("", ["h"], ["g"])), KIND, "'g'"),
        plain("RandomUniformLike"),
        plain("Multinomial"),
        plain("Bernoulli"),
        plain("StringNormalizer"),
        plain("TfIdfVectorizer"),
        plain("SequenceConstruct"),
        plain("SequenceEmpty"),
        plain("Optional"),
        plain("ImageDecoder"),
        plain("RegexFullMatch", pattern="(a+)+$"),
        plain("Det"),
        plain("DFT"),
        plain("STFT"),
        plain("Unique"),
        plain("Compress"),
        plain("NonMaxSuppression"),
        plain("relu", "'g' is a relu"),
        plain("../Relu", "../Relu"),
        Case(
            "Scan",
            lambda: of_node(helper.make_node("Scan", ["h"], ["g"], body=body(1, 1), num_scan_inputs=1)),
            KIND,
            "loops",
        ),
        Case(
            "SequenceMap",
            lambda: of_node(helper.make_node("SequenceMap", ["h"], ["g"], body=body(1, 1))),
            KIND,
            "loops",
        ),
        of_domain("Attention", "com.microsoft", num_heads=2),
        of_domain("FusedConv", "com.microsoft"),
        of_domain("CDist", "com.microsoft"),
        of_domain("BeamSearch", "com.microsoft"),
        of_domain("NhwcConv", "com.microsoft"),
        of_domain("PythonOp", "com.microsoft"),
        of_domain("EPContext", "com.microsoft"),
        of_domain("PyCustomOp", "ai.onnx.contrib"),
        of_domain("StringSplit", "ai.onnx.contrib"),
        of_domain("Adam", "ai.onnx.preview.training"),
        of_domain("LabelEncoder", "ai.onnx.ml"),
        of_domain("CategoryMapper", "ai.onnx.ml"),
        of_domain("ATen", "org.pytorch.aten"),
        of_domain("Load", "tensorflow"),
        Case("a graph in a Constant", lambda: hidden_in("Constant", "value"), KIND, "Constant"),
        Case("several graphs in a Relu", lambda: hidden_in("Relu", "bodies", several=True), KIND, "Relu"),
        Case("in a local function", lambda: in_function("Bernoulli"), KIND, "Bernoulli"),
        Case("a local function that is not there", unknown_function, KIND, "own::other"),
        *from_zoo(networks.REFUSED, KIND),
    ),
)
