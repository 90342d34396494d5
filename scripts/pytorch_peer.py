#!/usr/bin/env python3
"""The 2012 two-tower AlexNet in PyTorch, timed as `tandem bench` times ours. One JSON line for each
combination of --batch, --precision, --layout and --compile, which take lists: `--batch 128,1024`.

Same work as ours: forward, softmax NLL, backward, SGD with momentum and weight decay, dropout on;
the batch is made before the clock starts, and a step is done when its loss can be read. Groups
stand in for the two towers, and LRN runs inside each half. `lrn` and `pool` time the operation
alone, forward and backward, at the network's sizes.
"""
import argparse
import gc
import itertools
import json
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


def of(*choices):
    """A list whose words are all among `choices`."""

    def words(text):
        for word in text.split(","):
            if word not in choices:
                raise argparse.ArgumentTypeError(f"{word} is not among {', '.join(choices)}")
        return text.split(",")

    return words


arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--mode", choices=["train", "infer", "lrn", "pool"], default="train")
arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
arguments.add_argument("--batch", type=lambda text: [int(n) for n in text.split(",")], default=[128])
arguments.add_argument("--precision", type=of("f32", "tf32", "bf16"), default=["f32"],
                       help="bf16: under autocast, what it leaves in f32 as with tf32")
arguments.add_argument("--layout", type=of("contiguous", "channels-last"), default=["contiguous"])
arguments.add_argument("--compile", type=of("no", "default", "reduce-overhead"), default=["no"],
                       help="torch.compile's modes")
arguments.add_argument("--compile-seconds", type=float, default=float("inf"),
                       help="begin no compiled combination after so many seconds")
arguments.add_argument("--steps", type=int, default=5)
arguments.add_argument("--warmup", type=int, default=1)
arguments.add_argument("--threads", type=int, default=0)
options = arguments.parse_args()
cuda = options.device == "cuda"
if options.threads:
    torch.set_num_threads(options.threads)
torch.backends.cudnn.benchmark = True


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


class Way:
    """One combination: how the network and its pictures are made."""

    def __init__(self, batch, precision, layout, compiled):
        self.batch, self.precision, self.layout, self.compiled = batch, precision, layout, compiled

    def place(self, what):
        last = self.layout == "channels-last"
        return what.to(options.device, memory_format=torch.channels_last if last else torch.contiguous_format)

    def pictures(self):
        return self.place(torch.randn(self.batch, 3, 224, 224, device=options.device))

    def function(self, call):
        """`call`, under autocast and compiled where that is asked for."""

        def cast(*inputs):
            with torch.autocast(options.device, torch.bfloat16, enabled=self.precision == "bf16"):
                return call(*inputs)

        return cast if self.compiled == "no" else torch.compile(cast, mode=self.compiled, dynamic=False)

    def training_step(self):
        net = self.place(network()).train()
        x = self.pictures()
        labels = torch.randint(0, 1000, (self.batch,), device=options.device)
        optimiser = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, fused=cuda or None)
        loss_of = self.function(lambda x: F.cross_entropy(net(x), labels))

        def step():
            loss = loss_of(x)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            loss.item()

        return step

    def inference(self):
        net = self.place(network()).eval()
        x = self.pictures()
        call = self.function(net)

        def step():
            with torch.no_grad():
                call(x)
            if cuda:
                torch.cuda.synchronize()

        return step

    def operation(self, apply, shapes):
        cases = []
        for shape in shapes:
            x = self.place(torch.randn(self.batch, *shape)).requires_grad_()
            cases.append((x, torch.randn_like(apply(x))))
        call = self.function(apply)

        def step():
            for x, dy in cases:
                x.grad = None
                y = call(x)
                y.backward(dy.to(y.dtype))
            if cuda:
                torch.cuda.synchronize()

        return step

    def step(self):
        maps = [(96, 55, 55), (256, 27, 27), (256, 13, 13)]
        return {
            "train": self.training_step,
            "infer": self.inference,
            "lrn": lambda: self.operation(lrn, maps[:2]),
            "pool": lambda: self.operation(nn.MaxPool2d(3, 2), maps),
        }[options.mode]()


def peak_memory():
    if cuda:
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(way):
    exact = way.precision == "f32"
    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact
    if cuda:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    step = way.step()
    for _ in range(options.warmup):
        step()
    times = []
    for _ in range(options.steps):
        begun = time.perf_counter()
        step()
        times.append(time.perf_counter() - begun)
    median = sorted(times)[len(times) // 2]
    return {
        "seconds_per_step": median,
        "seconds_range": [min(times), max(times)],
        "images_per_second": way.batch / median,
        "peak_memory_bytes": peak_memory(),
    }


started, failed = time.monotonic(), False
combinations = itertools.product(options.compile, options.batch, options.precision, options.layout)
for compiled, batch, precision, layout in combinations:
    line = {
        "system": f"torch {torch.__version__}",
        "mode": options.mode,
        "batch": batch,
        "precision": precision,
        "layout": layout,
        "compile": compiled,
        "threads": torch.get_num_threads(),
    }
    if compiled != "no":
        # Or the next network counts as a recompilation of the last, of which there may be few.
        torch._dynamo.reset()
    if compiled != "no" and time.monotonic() - started > options.compile_seconds:
        line["skipped"] = f"more than {options.compile_seconds:.0f} s were gone"
    else:
        try:
            line.update(measure(Way(batch, precision, layout, compiled)))
        except Exception as error:  # what a combination lacks is no reason to lose the others
            failed = True
            line["error"] = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    print(json.dumps(line), flush=True)
sys.exit(failed)
