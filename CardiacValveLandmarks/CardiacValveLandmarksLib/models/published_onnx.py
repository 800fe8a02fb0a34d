"""The published network as an ONNX graph for ONNX Runtime, written from its weights.

The graph computes what `published.PublishedNetwork` does, arranged for a CPU that waits for memory, not for sums:

- the last convolution and the heads have no activation between them, so they are one linear map (a quarter of the
  network's arithmetic and three quarters of its weights);
- a unit's residual 1 x 1 convolution rides in the centre tap of its first 3 x 3 convolution;
- a bias in front of an instance norm is cancelled by it and left out.

ONNX Runtime's own InstanceNormalization adds 65,536 squares one by one in float32, which is wrong by 1e-5 and moves
a landmark by 1e-2 px. Here the sums are taken along rows first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .published import CHANNELS, DILATIONS, N_POINTS, SIZE

#: torch's default, which the published network uses
NORM_EPSILON = 1e-5
OPSET, IR_VERSION = 17, 8


class _Graph:
    """Collects nodes and constants; each method appends what it names and returns the name of its output."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self.nodes, self.constants = [], []

    def constant(self, values: np.ndarray) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(self._numpy.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, kind: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes) -> str:
        outputs = outputs or (f"value{len(self.nodes)}",)
        self.nodes.append(self._helper.make_node(kind, list(inputs), list(outputs), **attributes))
        return outputs[0]

    def convolution(self, x: str, weight: np.ndarray, bias=None, stride: int = 1, dilation: int = 1) -> str:
        constants = [self.constant(array) for array in (weight, bias) if array is not None]
        attributes = {"strides": [stride] * 2, "dilations": [dilation] * 2, "pads": [dilation] * 4}
        return self.add("Conv", x, *constants, kernel_shape=[3, 3], **attributes)

    def norm_prelu(self, x: str, slope: np.ndarray, size: int) -> str:
        """Instance norm over (size, size), then PReLU with one slope for all channels."""

        def mean(values: str, rows: str) -> str:
            return self.add("ReduceMean", self.add(rows, values, axes=[3], keepdims=1), axes=[2], keepdims=1)

        centred = self.add("Sub", x, mean(x, "ReduceMean"))
        squares = mean(centred, "ReduceSumSquare")  # a mean of row sums: size times the variance
        variance = self.add("Mul", squares, self.constant(np.float32([1 / size])))
        deviation = self.add("Sqrt", self.add("Add", variance, self.constant(np.float32([NORM_EPSILON]))))
        scaled = self.add("Mul", centred, self.add("Reciprocal", deviation))
        return self.add("LeakyRelu", scaled, alpha=float(slope.item()))

    def residual_unit(self, x: str, weights: Mapping[str, np.ndarray], prefix: str, dilation: int, size: int) -> str:
        first, residual = weights[f"{prefix}.conv.unit0.conv.weight"], weights[f"{prefix}.residual.weight"]
        channels = len(first)
        both = np.zeros((2 * channels, *first.shape[1:]), np.float32)
        both[:channels] = first
        both[channels:, :, 1, 1] = residual[:, :, 0, 0]
        bias = np.concatenate([np.zeros(channels, np.float32), weights[f"{prefix}.residual.bias"]])
        pair = self.convolution(x, both, bias, dilation=dilation)
        names = (f"{prefix}.first", f"{prefix}.residual")
        self.add("Split", pair, outputs=names, axis=1)
        y = self.norm_prelu(names[0], weights[f"{prefix}.conv.unit0.adn.A.weight"], size)
        y = self.convolution(y, weights[f"{prefix}.conv.unit1.conv.weight"], dilation=dilation)
        y = self.norm_prelu(y, weights[f"{prefix}.conv.unit1.adn.A.weight"], size)
        return self.add("Add", y, names[1])


def linear_tail(weights: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The last convolution and all heads as one affine map of the last dense block's output.

    Returns the matrix (128 * 16 * 16, 20) and the offset (20,), float32, computed in float64.
    """
    import torch
    from torch.nn import functional

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(np.asarray(weights[name], np.float64))

    last, last_bias = tensor("net.layer_4.1.conv.weight"), tensor("net.layer_4.1.conv.bias")
    side = SIZE // 2 ** len(CHANNELS)
    matrix, offset = [], []
    for number in range(N_POINTS):
        head = f"final.0.catmodule_{number}"
        weight, bias = tensor(f"{head}.0.conv.weight"), tensor(f"{head}.0.conv.bias")
        rows = tensor(f"{head}.2.weight").reshape(2, len(weight), side // 2, side // 2)
        # a transposed convolution carries a linear function of a convolution's output back to its input
        back = functional.conv_transpose2d(rows, weight, stride=2, padding=1, output_padding=1)
        offset.append(tensor(f"{head}.2.bias") + rows.sum((2, 3)) @ bias + back.sum((2, 3)) @ last_bias)
        back = functional.conv_transpose2d(back, last, stride=2, padding=1, output_padding=1)
        matrix.append(back.flatten(1))
    return torch.cat(matrix).T.contiguous().float().numpy(), torch.cat(offset).float().numpy()


def build_onnx(weights: Mapping[str, np.ndarray]) -> bytes:
    """A serialised ONNX model: `image` (N, 1, 256, 256) in [0, 1] -> `points` (N, 2, 10) pixels.

    weights: the 174 published tensors by name, float32. Needs the packages onnx and torch.
    """
    from onnx import TensorProto, checker, helper

    graph = _Graph()
    x, size = "image", SIZE
    for level in range(len(CHANNELS)):
        for number, dilation in enumerate(DILATIONS):
            unit = graph.residual_unit(x, weights, f"net.layer_{level}.0.layers{number}", dilation, size)
            x = graph.add("Concat", x, unit, axis=1)
        size //= 2
        if level < len(CHANNELS) - 1:
            x = graph.convolution(x, weights[f"net.layer_{level}.1.conv.weight"], stride=2)
            x = graph.norm_prelu(x, weights[f"net.layer_{level}.1.adn.A.weight"], size)
    matrix, offset = linear_tail(weights)
    flat = graph.add("Flatten", x, axis=1)
    points = graph.add("Gemm", flat, graph.constant(matrix), graph.constant(offset))
    graph.add("Reshape", points, graph.constant(np.array([-1, 2, N_POINTS])), outputs=("points",))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "valve_landmarks",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, SIZE, SIZE])],
            [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["n", 2, N_POINTS])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="CardiacValveLandmarks",
    )
    checker.check_model(model)
    return model.SerializeToString()
