"""What the parts of acceptance share: the work folder, and commands run for what they print."""
import argparse
import json
import math
import os
import subprocess

# Of accept.py's command line.
options = argparse.Namespace()


class Failed(Exception):
    """A check that failed, in one line."""


def clean(value):
    """The value with null for numbers that JSON does not have: NaN and the infinities."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value):
    """Whether it is one that can be divided by."""
    return isinstance(value, (int, float)) and math.isfinite(value) and value > 0


def write(name, value):
    """Leaves the value whole or not at all: whoever reads may come at any time."""
    path = options.work / f"{name}.json"
    path.with_suffix(".new").write_text(json.dumps(clean(value), indent=1, allow_nan=False))
    path.with_suffix(".new").replace(path)


def read(name):
    try:
        return json.loads((options.work / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None


def last_line(command, seconds, environment=None):
    """The JSON object that a command prints last, or {"error": why there is none}."""
    try:
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", timeout=seconds, env=environment)
    except subprocess.TimeoutExpired:
        return {"error": f"it was stopped after {seconds:.0f} s"}
    except OSError as why:
        return {"error": str(why)}
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        return {"error": words[max(words.lower().rfind("error:"), 0):][:300]}
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        found = None
    return found if isinstance(found, dict) else {"error": f"it printed no JSON but {done.stdout[-100:]!r}"}


def tandem(*arguments, seconds, program="tandem"):
    """What the command prints as JSON, or {"error": why it does not}."""
    environment = {**os.environ, "LD_LIBRARY_PATH": (options.work / "library-path").read_text()}
    return last_line([options.work / "bin" / program, *arguments], seconds, environment)


def bench(*arguments, seconds, **program):
    """`tandem bench` on the first GPU; a measurement, or what it failed with."""
    row = tandem("bench", "--devices", "cuda:0", "--json", *arguments, seconds=seconds, **program)
    if not row.get("error") and not number(row.get("seconds_per_step")):
        row["error"] = "it names no time"
    if "peak_memory_bytes" in row:
        row["host_memory_bytes"] = row.pop("peak_memory_bytes")
    return row


# What an emulator's run leaves of measurements: that they were made, and nothing of how fast.
SPEEDS = ("seconds", "per_second", "share", "memory", "allocated", "reserved", "clock", "watts")


def speechless(value):
    """A measurement without its figures, if it is the emulator's."""
    if not options.emulated:
        return value
    if isinstance(value, list):
        return [speechless(item) for item in value]
    if isinstance(value, dict):
        return {key: speechless(item) for key, item in value.items() if not any(word in key for word in SPEEDS)}
    return value


def visible_gpu():
    """The first that programs see, as nvidia-smi takes it."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def pytorch_environment():
    """PyTorch finds its own libraries; the emulator's are not for it."""
    environment = dict(os.environ)
    if options.emulated:
        environment.pop("LD_LIBRARY_PATH", None)
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment
