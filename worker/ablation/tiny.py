"""A network of two numbers, made here: does a device compute what arithmetic says?"""

import numpy as np
import onnx_ir as ir

from worker.ablation import sessions
from worker.ablation.devices import Device, DeviceFault

OPSET, IR_VERSION = 17, 8
ASKED = np.array([[2.0, -3.0]], np.float32)
EXPECTED = np.array([[2.0, 0.0]], np.float32)


def model() -> ir.Model:
    """Relu of a product with the identity, float32[1, 2] to the same."""
    x = ir.Value(name="x", shape=ir.Shape([1, 2]), type=ir.TensorType(ir.DataType.FLOAT))
    weights = ir.tensor(np.eye(2, dtype=np.float32), name="weights")
    held = ir.Value(name="weights", shape=ir.Shape([2, 2]), type=ir.TensorType(ir.DataType.FLOAT), const_value=weights)
    product = ir.node("MatMul", [x, held])
    kept = ir.node("Relu", [product.outputs[0]])
    kept.outputs[0].name = "y"
    kept.outputs[0].type, kept.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([1, 2])
    graph = ir.Graph(
        [x], [kept.outputs[0]], nodes=[product, kept], initializers=[held], opset_imports={"": OPSET}, name="tiny"
    )
    return ir.Model(graph, ir_version=IR_VERSION)


def check(device: Device) -> None:
    """Raises `DeviceFault` if it does not."""
    [found] = sessions.run(sessions.opened(model(), ["y"], 1, device), {"x": ASKED})
    if not np.array_equal(found, EXPECTED):
        raise DeviceFault(f"{device}: it computes {found.tolist()} where {EXPECTED.tolist()} is right")
