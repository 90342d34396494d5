#!/usr/bin/env python3
"""Makes `tiny-bvlc-*.npy` and `tiny-bvlc-io.safetensors`: python3 make_npy_fixtures.py

A tiny network of Caffe's AlexNet's pattern in TensorFlow's layout, as bvlc_alexnet.npy has it, and its scores for a
coloured picture: by PyTorch's operations on TensorFlow's order of dimensions, pictures blue, green, red.
"""
import pathlib, pickle
import numpy as np
import torch, torch.nn.functional as F
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent / "fixtures"
random = np.random.default_rng(2012)
MEAN = torch.tensor([104.0, 117.0, 124.0])  # blue, green, red


def layer(*shape):
    """(height, width, inputs, outputs) or (inputs, outputs), and biases."""
    fan_in = np.prod(shape[:-1])
    return [random.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32), random.normal(0, 0.1, shape[-1]).astype(np.float32)]


net = dict(conv1=layer(11, 11, 3, 6), conv2=layer(5, 5, 3, 8), conv3=layer(3, 3, 8, 6), conv4=layer(3, 3, 3, 6), conv5=layer(3, 3, 3, 4),
           fc6=layer(6 * 6 * 4, 7), fc7=layer(7, 6), fc8=layer(6, 5))
net["conv1"][0] /= 50  # pixels are large


def conv(x, name, **options):
    weight, bias = map(torch.tensor, net[name])
    return F.relu(F.conv2d(x.permute(0, 3, 1, 2), weight.permute(3, 2, 0, 1).double(), bias.double(), **options).permute(0, 2, 3, 1))


def pool(x):
    return F.max_pool2d(x.permute(0, 3, 1, 2), 3, 2, ceil_mode=True).permute(0, 2, 3, 1)


def lrn(x):
    return F.local_response_norm(x.permute(0, 3, 1, 2), 5, alpha=1e-4, beta=0.75, k=1).permute(0, 2, 3, 1)


def linear(x, name):
    weight, bias = map(torch.tensor, net[name])
    return x @ weight.double() + bias.double()


height, width = np.mgrid[0:227, 0:227]
red, green, blue = (height + random.integers(0, 30, (227, 227))) % 256, (2 * width) % 256, np.where(height > width, 220, 30)
rgb = torch.tensor(np.stack([red, green, blue], 2).astype(np.uint8))
x = (rgb.flip(2).double() - MEAN)[None]  # (1, height, width, blue-green-red)
x = pool(lrn(conv(x, "conv1", stride=4)))
x = pool(lrn(conv(x, "conv2", padding=2, groups=2)))
x = conv(x, "conv3", padding=1)
x = conv(x, "conv4", padding=1, groups=2)
x = pool(conv(x, "conv5", padding=1, groups=2))
x = F.relu(linear(x.flatten(1), "fc6"))  # row by row, column by column, channel by channel
scores = linear(F.relu(linear(x, "fc7")), "fc8")
save_file({"image": rgb.permute(2, 0, 1)[None].contiguous(), "logits": scores.float()}, here / "tiny-bvlc-io.safetensors")

np.save(here / "tiny-bvlc-list.npy", net, allow_pickle=True)
# As NumPy on Python 2 wrote them: pickle protocol 2; and caffe-tensorflow's other form, a dictionary a layer.
named = {name: dict(weights=np.asfortranarray(weights), biases=biases.astype(np.float64)) for name, (weights, biases) in net.items()}
with open(here / "tiny-bvlc-dict.npy", "wb") as file:
    np.lib.format.write_array_header_1_0(file, dict(descr="|O", fortran_order=False, shape=()))
    pickle.dump(np.array(named, dtype=object), file, protocol=2)
np.save(here / "numbers.npy", np.zeros(3))
print(scores)
