"""ONNX Runtime: one node, in its natural NCHW, weights constant so that it may pack them ahead."""

from typing import Any

import numpy as np
import onnx  # noqa: F401, named here so that its absence is reported as such
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernelError

from bench.peers import Contender
from bench.suites import Conv
from bench.work import Array, Prepared, UnsupportedError, Work

OPSET, IR = 17, 8  # old enough for every release of the last years


def contenders() -> list[Contender]:
    layout = "NCHW, weights constant and packed ahead"
    return [Contender("onnxruntime", "ONNX Runtime", onnxruntime.__version__, layout, prepare)]


def prepare(work: Work) -> Prepared:
    if work.direction != "forward":
        raise UnsupportedError("forward only")
    x = np.ascontiguousarray(work.x.transpose(0, 3, 1, 2))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = work.threads
    options.log_severity_level = 4
    model = _model(work, x).SerializeToString()
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except NoKernelError:
        raise UnsupportedError(f"no {x.dtype} kernel") from None
    feed = {"x": x}
    return Prepared(lambda: session.run(None, feed), lambda result: (result[0].transpose(0, 2, 3, 1),))


def _model(work: Work, x: Array) -> Any:
    layer = work.layer
    strides, pads = [layer.stride] * 2, [layer.padding] * 4
    constants = []
    if isinstance(layer, Conv):
        w = np.ascontiguousarray(work.w.transpose(3, 2, 0, 1))
        constants = [numpy_helper.from_array(w, "w"), numpy_helper.from_array(work.b, "b")]
        inputs = ["x", "w", "b"]
        node = helper.make_node("Conv", inputs, ["y"], strides=strides, pads=pads, group=layer.groups)
    else:
        operator = {"max": "MaxPool", "avg": "AveragePool"}[layer.mode]
        window = [layer.R] * 2
        node = helper.make_node(operator, ["x"], ["y"], kernel_shape=window, strides=strides, pads=pads)
    N, OH, OW, K = layer.y_shape
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    inputs = [helper.make_tensor_value_info("x", kind, x.shape)]
    outputs = [helper.make_tensor_value_info("y", kind, (N, K, OH, OW))]
    graph = helper.make_graph([node], "layer", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
