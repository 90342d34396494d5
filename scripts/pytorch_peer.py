#!/usr/bin/env python3
"""The 2012 two-tower AlexNet in PyTorch, timed as `tandem bench` times ours. One JSON line a mode.

Same work as ours: forward, softmax NLL, backward, SGD with momentum and weight decay, dropout on;
the batch is made before the clock starts. Groups stand in for the two towers, and LRN runs inside
each half. `lrn` and `pool` time the operation alone, forward and backward, at the network's sizes.
"""
import argparse
import json
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--batch", type=int, default=128)
arguments.add_argument("--mode", choices=["train", "infer", "lrn", "pool"], default="train")
arguments.add_argument("--steps", type=int, default=5)
arguments.add_argument("--warmup", type=int, default=1)
arguments.add_argument("--threads", type=int, default=0)
options = arguments.parse_args()
if options.threads:
    torch.set_num_threads(options.threads)


def lrn(x):
    # PyTorch divides alpha by the window: 5e-4 / 5 is the paper's 1e-4.
    return F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0)


class Lrn(nn.Module):
    def forward(self, x):
        return torch.cat([lrn(tower) for tower in x.chunk(2, 1)], 1)


def relu():
    return nn.ReLU(inplace=True)


def network():
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4, 2), relu(), Lrn(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), relu(), Lrn(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), relu(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), relu(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), relu(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Dropout(), nn.Linear(9216, 4096), relu(),
        nn.Dropout(), nn.Linear(4096, 4096), relu(), nn.Linear(4096, 1000),
    )


def training_step():
    net = network().train()
    x = torch.randn(options.batch, 3, 224, 224)
    labels = torch.randint(0, 1000, (options.batch,))
    optimiser = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)

    def step():
        loss = F.cross_entropy(net(x), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def inference():
    net = network().eval()
    x = torch.randn(options.batch, 3, 224, 224)

    def step():
        with torch.no_grad():
            net(x)

    return step


def operation(apply, shapes):
    cases = []
    for shape in shapes:
        x = torch.randn(options.batch, *shape, requires_grad=True)
        cases.append((x, torch.randn_like(apply(x))))

    def step():
        for x, dy in cases:
            x.grad = None
            apply(x).backward(dy)

    return step


maps = [(96, 55, 55), (256, 27, 27), (256, 13, 13)]
step = {
    "train": training_step,
    "infer": inference,
    "lrn": lambda: operation(lrn, maps[:2]),
    "pool": lambda: operation(nn.MaxPool2d(3, 2), maps),
}[options.mode]()
for _ in range(options.warmup):
    step()
times = []
for _ in range(options.steps):
    begun = time.perf_counter()
    step()
    times.append(time.perf_counter() - begun)
median = sorted(times)[len(times) // 2]
print(json.dumps({
    "system": f"torch {torch.__version__}",
    "mode": options.mode,
    "batch": options.batch,
    "threads": torch.get_num_threads(),
    "seconds_per_step": median,
    "images_per_second": options.batch / median,
    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
