"""ONNX models with half-size weights: kept as float16, computed in float32. Needs the onnx package."""

from __future__ import annotations

import numpy as np

#: tensors with fewer values stay float32
_SMALL = 1024


def halve_weights(serialised: bytes) -> bytes:
    """A serialised ONNX model with its large float32 constants kept as float16, each cast back where it is used.

    Names of constants stay, so that the torch engine finds them. ONNX Runtime does the casts once, when it loads.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(serialised)
    graph = model.graph
    casts = []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < _SMALL:
            continue
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), constant.name))
        wide = constant.name + ".float32"
        casts.append(helper.make_node("Cast", [constant.name], [wide], to=TensorProto.FLOAT))
        for node in graph.node:
            for index, name in enumerate(node.input):
                if name == constant.name:
                    node.input[index] = wide
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model.SerializeToString()
