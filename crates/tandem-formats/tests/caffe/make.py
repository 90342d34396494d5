"""Makes the Caffe fixtures beside it: narrow networks written by google.protobuf from caffe.proto, and
the scores that PyTorch gives in float64.

    python make.py                      # needs torch, numpy, protobuf, safetensors

Two forms of file. `caffenet.caffemodel` is as a solver of 2014 left it: V1 layers, legacy blobs, the
data layer with crop and mean file, Split and loss, pooling before LRN. `bvlc.caffemodel` has the current
layers, shapes, one blob in doubles, a mean for each channel, a scale, and sizes by axis.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

import schema

HERE = Path(__file__).parent
SEEDS = HERE / "../../../../fuzz/seeds/caffe"
caffe = schema.load(HERE / "caffe.proto")

# V1LayerParameter.LayerType
V1 = dict(Convolution=4, Data=5, Dropout=6, InnerProduct=14, LRN=15, Pooling=17, ReLU=18,
          SoftmaxWithLoss=21, Split=22)
SIDE, CROP = 80, 71
NARROW = dict(conv=[12, 16, 20, 20, 16], fc=[24, 24, 10])
FULL = dict(conv=[96, 256, 384, 384, 256], fc=[4096, 4096, 1000])


def layers(widths, pool_first, alpha):
    """(name, type, parameters) of AlexNet as Caffe has it."""
    conv, fc = widths["conv"], widths["fc"]
    lrn = lambda i: (f"norm{i}", "LRN", dict(local_size=5, alpha=alpha, beta=0.75))
    pool = lambda i: (f"pool{i}", "Pooling", dict(pool=0, kernel_size=3, stride=2))
    relu = lambda i: (f"relu{i}", "ReLU", {})
    between = lambda i: [pool(i), lrn(i)] if pool_first else [lrn(i), pool(i)]
    sizes = [(11, 4, 0, 1), (5, 1, 2, 2), (3, 1, 1, 1), (3, 1, 1, 2), (3, 1, 1, 2)]
    for i, (n, (k, s, p, g)) in enumerate(zip(conv, sizes), 1):
        yield f"conv{i}", "Convolution", dict(num_output=n, kernel_size=k, stride=s, pad=p, group=g)
        yield relu(i)
        if i < 3:
            yield from between(i)
    yield pool(5)
    for i, n in enumerate(fc, 6):
        yield f"fc{i}", "InnerProduct", dict(num_output=n)
        if i < 8:
            yield relu(i)
            yield f"drop{i}", "Dropout", dict(dropout_ratio=0.5)


def weights(widths, crop, pool_first, alpha, seed):
    """Random weights of a size that keeps the scores apart, and the shape of what reaches them."""
    random = np.random.default_rng(seed)
    found, channels, side = {}, 3, crop
    for name, kind, p in layers(widths, pool_first, alpha):
        if kind == "Convolution":
            shape = (p["num_output"], channels // p["group"], p["kernel_size"], p["kernel_size"])
            side = (side + 2 * p["pad"] - p["kernel_size"]) // p["stride"] + 1
            channels = p["num_output"]
        elif kind == "Pooling":
            side = -(-(side - 3) // 2) + 1
            continue
        elif kind == "InnerProduct":
            shape = (p["num_output"], channels * side * side)
            channels, side = p["num_output"], 1
        else:
            continue
        std = (2 / np.prod(shape[1:])) ** 0.5
        # What conv1 reads is some 60 large.
        std = std / 20 if name == "conv1" else std
        weight = random.normal(0, std, shape).astype("f4")
        found[name] = weight, random.normal(0, 0.1, shape[:1]).astype("f4")
    return found


def forward(x, found, widths, pool_first, alpha):
    """Caffe's layers as PyTorch's: LRN divides alpha by its size in both, pooling rounds up."""
    for name, kind, p in layers(widths, pool_first, alpha):
        if name in found:
            w, b = (torch.from_numpy(v.astype(x.numpy().dtype)) for v in found[name])
        if kind == "Convolution":
            x = F.conv2d(x, w, b, p["stride"], p["pad"], groups=p["group"])
        elif kind == "InnerProduct":
            x = F.linear(x.flatten(1), w, b)
        elif kind == "ReLU":
            x = F.relu(x)
        elif kind == "LRN":
            x = F.local_response_norm(x, p["local_size"], p["alpha"], p["beta"], 1.0)
        elif kind == "Pooling":
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    return x


def scores(pictures, found, widths, pool_first, alpha, mean, scale, crop):
    """Of RGB pictures (N, side, side, 3) u8; `mean` (3, side, side) is BGR, as the network reads."""
    bgr = pictures[..., ::-1].astype("f8").transpose(0, 3, 1, 2)
    left = (bgr.shape[-1] - crop) // 2
    seen = (bgr - mean)[..., left:left + crop, left:left + crop] * scale
    seen = torch.from_numpy(np.ascontiguousarray(seen))
    with torch.no_grad():
        return forward(seen, found, widths, pool_first, alpha).numpy()


def legacy(blob, values):
    """num, channels, height and width, ones in front."""
    dims = (1,) * (4 - values.ndim) + values.shape
    blob.num, blob.channels, blob.height, blob.width = dims
    blob.data.extend(values.ravel().tolist())


def v1(name, found, widths, pool_first, alpha, crop, mean_file):
    net = caffe["NetParameter"](name=name)
    data = net.layers.add(name="data", type=V1["Data"], top=["data", "label"])
    data.data_param.source = "/home/jiayq/ilsvrc-train-leveldb"
    data.data_param.mean_file = mean_file
    data.data_param.crop_size, data.data_param.mirror = crop, True
    bottom = "data"
    for name, kind, p in layers(widths, pool_first, alpha):
        in_place = kind in ("ReLU", "Dropout")
        layer = net.layers.add(name=name, type=V1[kind], bottom=[bottom])
        layer.top.append(bottom if in_place else name)
        fill(layer, kind, p, filler=True)
        for values in found.get(name, ()):
            blob = layer.blobs.add()
            legacy(blob, values)
            blob.diff.extend([0.5] * values.size if values.size < 100 else [])
        layer.blobs_lr.extend([1, 2] if name in found else [])
        bottom = layer.top[0]
    net.layers.add(name="fc8_split", type=V1["Split"], bottom=[bottom], top=["a", "b"])
    net.layers.add(name="loss", type=V1["SoftmaxWithLoss"], bottom=["a", "label"])
    return net


def current(name, found, widths, pool_first, alpha, crop, mean, scale):
    net = caffe["NetParameter"](name=name)
    data = net.layer.add(name="data", type="Data", top=["data", "label"])
    data.transform_param.crop_size, data.transform_param.scale = crop, scale
    data.transform_param.mean_value.extend(mean)
    bottom = "data"
    for name, kind, p in layers(widths, pool_first, alpha):
        in_place = kind in ("ReLU", "Dropout")
        layer = net.layer.add(name=name, type=kind, bottom=[bottom])
        layer.top.append(bottom if in_place else name)
        fill(layer, kind, p, filler=False)
        for values in found.get(name, ()):
            blob = layer.blobs.add()
            blob.shape.dim.extend(values.shape)
            into = blob.double_data if name == "conv3" else blob.data
            into.extend(values.ravel().tolist())
        bottom = layer.top[0]
    net.layer.add(name="prob", type="Softmax", bottom=[bottom], top=["prob"])
    return net


def fill(layer, kind, p, filler):
    if kind == "Convolution":
        said = layer.convolution_param
        said.num_output, said.group = p["num_output"], p["group"]
        said.stride.append(p["stride"])
        if filler:
            said.pad.append(p["pad"])
            said.kernel_size.append(p["kernel_size"])
            said.weight_filler.type, said.weight_filler.std = "gaussian", 0.01
            said.bias_filler.value = 0.1
        else:
            said.pad.extend([p["pad"]] * 2)
            said.kernel_h = said.kernel_w = p["kernel_size"]
    elif kind == "InnerProduct":
        layer.inner_product_param.num_output = p["num_output"]
    elif kind == "LRN":
        for key, value in p.items():
            setattr(layer.lrn_param, key, value)
    elif kind == "Pooling":
        for key, value in p.items():
            setattr(layer.pooling_param, key, value)
    elif kind == "Dropout":
        layer.dropout_param.dropout_ratio = p["dropout_ratio"]


def pictures(side, seed=5):
    """Noise of all colours, and a picture that is red on the left and blue on the right."""
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype="u1")
    ramp = np.linspace(0, 255, side).astype("u1")
    red = np.zeros((side, side, 3), dtype="u1")
    red[..., 0], red[..., 2] = ramp[::-1], ramp
    return np.stack([noise, red])


def seeds():
    """Networks of 8x8 pictures in both forms, for mutation and fuzzing: half a kilobyte."""
    SEEDS.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(9)
    kernels = [
        ("conv1", dict(num_output=2, kernel_size=3, stride=2, pad=0, group=1), (2, 3, 3, 3)),
        ("conv2", dict(num_output=2, kernel_size=1, stride=1, pad=0, group=2), (2, 1, 1, 1)),
    ]
    net = caffe["NetParameter"](name="tiny")
    data = net.layers.add(name="data", type=V1["Data"], top=["data"])
    data.data_param.crop_size = 8
    bottom = "data"
    for name, p, shape in kernels:
        layer = net.layers.add(name=name, type=V1["Convolution"], bottom=[bottom], top=[name])
        fill(layer, "Convolution", p, filler=True)
        legacy(layer.blobs.add(), random.normal(size=shape))
        legacy(layer.blobs.add(), random.normal(size=shape[0]))
        bottom = name
    layer = net.layers.add(name="norm", type=V1["LRN"], bottom=[bottom], top=["norm"])
    layer.lrn_param.alpha = 0.5
    layer = net.layers.add(name="fc", type=V1["InnerProduct"], bottom=["norm"], top=["fc"])
    layer.inner_product_param.num_output = 2
    legacy(layer.blobs.add(), random.normal(size=(2, 18)))
    legacy(layer.blobs.add(), random.normal(size=2))
    (SEEDS / "v1").write_bytes(net.SerializeToString())

    net = caffe["NetParameter"](name="tiny", input=["data"], input_dim=[1, 3, 8, 8])
    layer = net.layer.add(name="conv1", type="Convolution", bottom=["data"], top=["conv1"])
    fill(layer, "Convolution", kernels[0][1], filler=False)
    layer.convolution_param.bias_term = False
    blob = layer.blobs.add()
    blob.shape.dim.extend([2, 3, 3, 3])
    blob.double_data.extend(random.normal(size=54))
    net.layer.add(name="relu", type="ReLU", bottom=["conv1"], top=["conv1"])
    layer = net.layer.add(name="pool", type="Pooling", bottom=["conv1"], top=["pool"])
    fill(layer, "Pooling", dict(pool=0, kernel_size=2, stride=2), filler=False)
    layer = net.layer.add(name="drop", type="Dropout", bottom=["pool"], top=["drop"])
    fill(layer, "Dropout", dict(dropout_ratio=0.25), filler=False)
    layer = net.layer.add(name="fc", type="InnerProduct", bottom=["drop"], top=["fc"])
    layer.inner_product_param.num_output = 2
    for values in random.normal(size=(2, 8)), random.normal(size=2):
        blob = layer.blobs.add()
        blob.shape.dim.extend(values.shape)
        blob.data.extend(values.ravel())
    net.layer.add(name="prob", type="Softmax", bottom=["fc"], top=["prob"])
    (SEEDS / "current").write_bytes(net.SerializeToString())


def main():
    seeds()
    seen = pictures(SIDE)
    # A mean picture whose channels differ.
    mean = np.random.default_rng(6).uniform(80, 130, (3, SIDE, SIDE)).astype("f4")
    mean[0] -= 40
    blob = caffe["BlobProto"]()
    legacy(blob, mean[None])
    (HERE / "narrow_mean.binaryproto").write_bytes(blob.SerializeToString())

    alpha = 0.05
    found = weights(NARROW, CROP, True, alpha, 1)
    net = v1("CaffeNet", found, NARROW, True, alpha, CROP, "/data/narrow_mean.binaryproto")
    (HERE / "caffenet.caffemodel").write_bytes(net.SerializeToString())
    caffenet = scores(seen, found, NARROW, True, alpha, mean, 1.0, CROP)

    found = weights(NARROW, CROP, False, alpha, 2)
    channel_means, scale = [104.0, 117.0, 123.0], 0.5
    net = current("AlexNet", found, NARROW, False, alpha, CROP, channel_means, scale)
    (HERE / "bvlc.caffemodel").write_bytes(net.SerializeToString())
    constant = np.array(channel_means)[:, None, None]
    # side 82: what a crop of 71 is scaled from where no mean picture says so.
    wide = pictures(82)
    bvlc = scores(wide, found, NARROW, False, alpha, constant, scale, CROP)
    save_file(
        {
            "caffenet.pictures": seen, "caffenet.scores": caffenet.astype("f4"),
            "bvlc.pictures": wide, "bvlc.scores": bvlc.astype("f4"),
        },
        HERE / "scores.safetensors",
    )
    for name, values in [("caffenet", caffenet), ("bvlc", bvlc)]:
        print(name, values.round(3))


if __name__ == "__main__":
    main()
