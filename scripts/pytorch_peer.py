#!/usr/bin/env python3
"""The 2012 two-tower AlexNet in PyTorch, timed as `tandem bench` times ours: one JSON line for the
way that the options name. With --ways, ways come on standard input, a JSON object with the keys
mode, batch, precision, layout and compile a line, and each is answered with a line.

Same work as ours: forward, softmax NLL, backward, SGD with momentum and weight decay, dropout on
the outputs of fc6 and fc7; the batch is made before the clock starts, and a step is done when its
loss can be read. Groups stand in for the two towers, and LRN runs inside each half. `lrn` and `pool`
time the operation alone, forward and backward, at the network's sizes.
"""
import argparse
import gc
import json
import os
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--mode", choices=["train", "infer", "lrn", "pool"], default="train")
arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
arguments.add_argument("--batch", type=int, default=128)
arguments.add_argument("--precision", choices=["f32", "tf32", "bf16", "bf16-weights"], default="f32",
                       help="bf16: under autocast, what it leaves in f32 as with tf32; "
                       "bf16-weights: the whole network in it, to infer")
arguments.add_argument("--layout", choices=["contiguous", "channels-last"], default="contiguous")
arguments.add_argument("--compile", choices=["no", "default", "reduce-overhead"], default="no",
                       help="torch.compile's modes")
arguments.add_argument("--ways", action="store_true", help="take ways from standard input instead")
arguments.add_argument("--steps", type=int, default=5)
arguments.add_argument("--warmup", type=int, default=1)
arguments.add_argument("--seconds", type=float, default=0,
                       help="measure for so long at least, after half of it to warm up")
arguments.add_argument("--threads", type=int, default=0)
options = arguments.parse_args()
cuda = options.device == "cuda"
if options.threads:
    torch.set_num_threads(options.threads)
torch.backends.cudnn.benchmark = True


def lrn(x):
    """In each half of the channels, the halves taking the place of channels: neither they nor a padding
    are copied. On a GPU torch's local_response_norm, bit for bit. On a CPU the sums of five are a
    product with a matrix of five diagonals, which takes two thirds of the time of torch's pooling."""
    towers = x.unflatten(1, (2, -1))
    squares = towers * towers
    if cuda:
        # Of a mean over five: 5e-4 / 5 is the paper's 1e-4.
        scale = 5e-4 * F.avg_pool3d(squares, (5, 1, 1), 1, (2, 0, 0)) + 2
    else:
        channel = torch.arange(towers.shape[2])
        near = ((channel[:, None] - channel).abs() <= 2).to(x.dtype)
        scale = (1e-4 * near @ squares.flatten(3).flatten(0, 1)).view(squares.shape) + 2
    return (towers / scale.pow(0.75)).flatten(1, 2)


class Lrn(nn.Module):
    def forward(self, x):
        return lrn(x)


def relu():
    return nn.ReLU(inplace=True)


def network():
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4, 2), relu(), Lrn(), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), relu(), Lrn(), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), relu(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), relu(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), relu(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(9216, 4096), relu(), nn.Dropout(),
        nn.Linear(4096, 4096), relu(), nn.Dropout(), nn.Linear(4096, 1000),
    )


class Way:
    """One combination: how the network and its pictures are made."""

    def __init__(self, mode, batch, precision, layout, compile):
        self.mode, self.batch, self.precision, self.layout, self.compiled = mode, batch, precision, layout, compile
        if precision == "bf16-weights" and mode != "infer":
            raise ValueError("bf16-weights is for infer")

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
            optimiser.zero_grad(set_to_none=True)
            loss = loss_of(x)
            loss.backward()
            optimiser.step()
            loss.item()

        return step

    def inference(self):
        net, x = self.place(network()).eval(), self.pictures()
        if self.precision == "bf16-weights":
            net = net.to(torch.bfloat16)
        # The pictures come in f32, as ours do.
        dtype = next(net.parameters()).dtype
        call = self.function(lambda x: net(x.to(dtype)))

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
        }[self.mode]()


def repeat(step, steps, seconds):
    """What each of so many steps took, or of more until so many seconds have passed."""
    times, begun = [], time.perf_counter()
    while len(times) < steps or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def memory():
    """What the timed steps held: on a GPU as PyTorch's allocator counts, else the whole process."""
    if cuda:
        return {"allocated_bytes": torch.cuda.max_memory_allocated(),
                "reserved_bytes": torch.cuda.max_memory_reserved()}
    return {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def measure(way):
    exact = way.precision == "f32"
    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact
    step = way.step()
    # The first compiles and searches for cuDNN's best; only what follows warms up.
    repeat(step, min(options.warmup, 1), 0)
    repeat(step, options.warmup - 1, options.seconds / 2)
    if cuda:
        # Without what the search took; one step takes again what steps need.
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        step()
    times = repeat(step, options.steps, options.seconds)
    # By the clock of the machine: whoever asked may have watched the GPU.
    until = time.monotonic()
    median = sorted(times)[len(times) // 2]
    return {
        "seconds_per_step": median,
        "seconds_range": [min(times), max(times)],
        "steps": len(times),
        "until": until,
        "images_per_second": way.batch / median,
        **memory(),
    }


def answer(way):
    """The way, with its measurement or why there is none."""
    line = {"system": f"torch {torch.__version__}", **way, "threads": torch.get_num_threads()}
    try:
        line.update(measure(Way(**way)))
    except Exception as error:  # what a way lacks is no reason to lose the others
        why = f"{type(error).__name__}: {error}".strip()
        full = "out of memory" in why or "ALLOC_FAILED" in why
        line.update({"skipped": "out of memory"} if full else {"error": why.splitlines()[0]})
    try:
        if way["compile"] != "no":
            # Or this network stays, and the next counts as its recompilation, of which there may be few.
            torch._dynamo.reset()
        gc.collect()
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
    except Exception:  # nothing works in this process any more
        line["broken"] = True
    return line


if options.ways:
    # Libraries print too: the answers have the standard output for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for asked in sys.stdin:
        print(json.dumps(answer(json.loads(asked))), file=answers, flush=True)
else:
    line = answer({key: getattr(options, key) for key in ["mode", "batch", "precision", "layout", "compile"]})
    print(json.dumps(line))
    sys.exit("seconds_per_step" not in line)
