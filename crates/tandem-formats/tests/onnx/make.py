"""Makes the ONNX fixtures beside it with the onnx package, and what onnxruntime gives for them.

    python make.py            # needs onnx, onnxruntime, numpy, torch, safetensors

`zoo.onnx` is in the likeness of the model zoo's bvlcalexnet-12: a fixed batch of one, every initializer
an input too, pads on one side only, Reshape before the first Gemm, Dropout with a ratio and a mask,
softmax. `pytorch.onnx` is a network of torchvision's pattern, written by torch.onnx. `mixed.onnx` has
what else is to be met: MatMul and Add, Constant, Identity, weights in halves, doubles and bfloat16, typed
and raw, factors in Gemm, pooling that rounds up. `external.onnx` keeps its values in `external.bin`. The
pictures are sin(0), sin(1), …
"""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

HERE = Path(__file__).parent
SEEDS = HERE / "../../../../fuzz/seeds/onnx"
random = np.random.default_rng(12)


def normal(*shape):
    return random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype("f4")


def biases(n):
    return random.normal(0, 0.1, n).astype("f4")


def zoo(crop):
    nodes, tensors = [], {}

    def layer(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output] if isinstance(output, str) else output,
                                      **attributes))

    def weighted(op, name, flow, *shape, **attributes):
        tensors[f"{name}_w_0"], tensors[f"{name}_b_0"] = normal(*shape), biases(shape[0])
        layer(op, [flow, f"{name}_w_0", f"{name}_b_0"], f"{name}_1", **attributes)
        return f"{name}_1"

    flow, channels, side = "data_0", 3, crop
    sizes = [(12, 11, 4, 0, 1), (16, 5, 1, 2, 2), (20, 3, 1, 1, 1), (20, 3, 1, 1, 2), (16, 3, 1, 1, 2)]
    for i, (n, k, s, p, g) in enumerate(sizes, 1):
        flow = weighted("Conv", f"conv{i}", flow, n, channels // g, k, k, group=g,
                        kernel_shape=[k, k], strides=[s, s], pads=[p] * 4)
        channels, side = n, (side + 2 * p - k) // s + 1
        layer("Relu", [flow], f"conv{i}_2")
        flow = f"conv{i}_2"
        if i < 3:
            layer("LRN", [flow], f"norm{i}_1", size=5, alpha=0.5, beta=0.75, bias=1.0)
            flow = f"norm{i}_1"
        if i in (1, 2, 5):
            over = (side - 3) % 2
            layer("MaxPool", [flow], f"pool{i}_1", kernel_shape=[3, 3], strides=[2, 2],
                  pads=[0, 0, over, over])
            flow, side = f"pool{i}_1", (side + over - 3) // 2 + 1
    tensors["OC2_DUMMY_1"] = np.array([1, channels * side * side], dtype="i8")
    layer("Reshape", [flow, "OC2_DUMMY_1"], "OC2_DUMMY_0")
    flow, features = "OC2_DUMMY_0", channels * side * side
    tensors["ratio"] = np.array(0.5, dtype="f4")
    for i, n in [(6, 24), (7, 24), (8, 10)]:
        flow = weighted("Gemm", f"fc{i}", flow, n, features, transB=1)
        features = n
        if i < 8:
            layer("Relu", [flow], f"fc{i}_2")
            layer("Dropout", [f"fc{i}_2", "ratio"], [f"fc{i}_3", f"_fc{i}_mask_1"])
            flow = f"fc{i}_3"
    layer("Softmax", [flow], "prob_1", axis=1)
    # Values in typed fields, as the zoo's converter wrote them.
    initializers = [
        helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape, v.ravel().tolist())
        if v.size < 2000 else numpy_helper.from_array(v, name)
        for name, v in tensors.items()
    ]
    inputs = [helper.make_tensor_value_info("data_0", TensorProto.FLOAT, [1, 3, crop, crop])]
    inputs += [
        helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in initializers
    ]
    outputs = [helper.make_tensor_value_info("prob_1", TensorProto.FLOAT, [1, 10])]
    graph = helper.make_graph(nodes, "bvlc_alexnet", inputs, outputs, initializers)
    model = helper.make_model(graph, producer_name="onnx-caffe2",
                              opset_imports=[helper.make_opsetid("", 12)])
    model.ir_version = 3
    return model


def pytorch(path):
    from torch import nn

    torch.manual_seed(3)
    relu = lambda: nn.ReLU(inplace=True)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 11, 4, 2), relu(), nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 12, 5, padding=2), relu(), nn.MaxPool2d(3, 2),
        nn.Conv2d(12, 16, 3, padding=1), relu(),
        nn.Conv2d(16, 12, 3, padding=1), relu(),
        nn.Conv2d(12, 12, 3, padding=1), relu(), nn.MaxPool2d(3, 2),
        nn.AdaptiveAvgPool2d((6, 6)), nn.Flatten(),
        nn.Dropout(), nn.Linear(12 * 36, 24), relu(),
        nn.Dropout(), nn.Linear(24, 24), relu(),
        nn.Linear(24, 10),
    )
    net.eval()
    torch.onnx.export(net, torch.zeros(1, 3, 224, 224), str(path), dynamo=False,
                      input_names=["input"], output_names=["scores"],
                      dynamic_axes={"input": {0: "batch"}, "scores": {0: "batch"}})


def mixed():
    bfloat = normal(8, 6, 3, 3).astype(ml_dtypes.bfloat16)
    half, double = normal(6, 3, 5, 5).astype("f2"), normal(20, 8 * 16).T.astype("f8")
    typed_half = helper.make_tensor("w1", TensorProto.FLOAT16, half.shape, half.ravel().tolist())
    tensors = [
        typed_half,
        numpy_helper.from_array(bfloat, "w2"),
        helper.make_tensor("w3", TensorProto.DOUBLE, double.shape, double.ravel().tolist()),
        numpy_helper.from_array(biases(20), "b3"),
        numpy_helper.from_array(normal(20, 5), "w4"),
        numpy_helper.from_array(biases(5)[None], "b4"),
    ]
    to = lambda name: helper.make_node("Cast", [name], [f"{name}.f"], to=TensorProto.FLOAT)
    b1 = numpy_helper.from_array(biases(6))
    nodes = [
        to("w1"), to("w2"), to("w3"),
        helper.make_node("Constant", [], ["b1"], value=b1),
        helper.make_node("Identity", ["pictures"], ["seen"]),
        helper.make_node("Conv", ["seen", "w1.f", "b1"], ["c1"], strides=[2, 2]),
        helper.make_node("Tanh", ["c1"], ["t1"]),
        helper.make_node("MaxPool", ["t1"], ["p1"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        helper.make_node("Conv", ["p1", "w2.f"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["c2"], ["s2"]),
        helper.make_node("AveragePool", ["s2"], ["a2"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["a2"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w3.f"], ["m3"]),
        helper.make_node("Add", ["b3", "m3"], ["f3"]),
        helper.make_node("Relu", ["f3"], ["r3"]),
        helper.make_node("Gemm", ["r3", "w4", "b4"], ["scores"], alpha=0.5, beta=2.0),
    ]
    graph = helper.make_graph(
        nodes, "mixed",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["N", 3, 35, 35])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 5])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model


def seeds():
    """A graph of 8x8 pictures with a little of all, for mutation and fuzzing."""
    SEEDS.mkdir(parents=True, exist_ok=True)
    w1 = normal(2, 3, 3, 3).astype("f2")
    tensors = [
        helper.make_tensor("w1", TensorProto.FLOAT16, w1.shape, w1.ravel().tolist()),
        helper.make_tensor("w2", TensorProto.FLOAT, [8, 2], normal(8, 2).ravel().tolist()),
        numpy_helper.from_array(biases(2), "b2"),
        numpy_helper.from_array(np.array([0, -1], dtype="i8"), "shape"),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1], group=1),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("LRN", ["r"], ["l"], size=3, alpha=0.5),
        helper.make_node("MaxPool", ["l"], ["p"], kernel_shape=[3, 3], strides=[2, 2],
                         pads=[0, 0, 1, 1]),
        helper.make_node("AveragePool", ["p"], ["a"], kernel_shape=[1, 1], strides=[1, 1]),
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.array(0.5, "f4"))),
        helper.make_node("Dropout", ["a", "k"], ["d"]),
        helper.make_node("Reshape", ["d", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "w2"], ["m"]),
        helper.make_node("Add", ["m", "b2"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        tensors,
    )
    model = helper.make_model(graph, producer_name="onnx-caffe2",
                              opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    (SEEDS / "tiny").write_bytes(model.SerializeToString())


def main():
    seeds()
    models = {"zoo": zoo(71), "mixed": mixed()}
    for name, model in models.items():
        onnx.checker.check_model(model)
        onnx.save(model, HERE / f"{name}.onnx")
    pytorch(HERE / "pytorch.onnx")
    (HERE / "external.bin").unlink(missing_ok=True)
    onnx.save(mixed(), HERE / "external.onnx", save_as_external_data=True,
              location="external.bin", size_threshold=100)
    golden = {}
    for name, crop in [("zoo", 71), ("mixed", 35), ("external", 35), ("pytorch", 224)]:
        session = onnxruntime.InferenceSession(HERE / f"{name}.onnx")
        seen = np.sin(np.arange(3 * crop * crop)).reshape(1, 3, crop, crop).astype("f4")
        given = session.run(None, {session.get_inputs()[0].name: seen})[0]
        golden[name] = given
        print(name, given.round(3))
    save_file(golden, HERE / "golden.safetensors")


if __name__ == "__main__":
    main()
