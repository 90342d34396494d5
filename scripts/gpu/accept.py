"""What accept.sh asks of Python: facts, comparisons, measurements, and the report of them all.

Needs nothing but Python 3.8; PyTorch is asked for in processes of its own. Each command prints what
it has to say and exits 1 if a check failed. Its figures go to WORK/NAME.json, from which `report`
makes the two files that accept.sh leaves.
"""
import argparse
import ctypes
import datetime
import glob
import gzip
import itertools
import json
import math
import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Of the aims: the share of a copy's bandwidth, and of kernels that move how much.
SHARE, BYTES = 0.8, 100e6


class Failed(Exception):
    """A check that failed, in one line."""


def write(name, value):
    path = options.work / f"{name}.json"
    path.write_text(json.dumps(value, indent=1))
    return value


def read(name):
    path = options.work / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


# ---- The machine ----


def driver():
    """What the driver says of itself and of its first GPU."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise Failed(f"NVIDIA's driver is not here: {error}")

    def ask(function, *arguments):
        status = getattr(cuda, function)(*arguments)
        if status:
            raise Failed(f"the driver answers {function} with CUDA error {status}")

    version, count, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    ask("cuInit", 0)
    ask("cuDriverGetVersion", ctypes.byref(version))
    ask("cuDeviceGetCount", ctypes.byref(count))
    if not count.value:
        raise Failed("the driver sees no GPU")
    ask("cuDeviceGetName", name, len(name), 0)
    return {
        "gpu": name.value.decode(),
        "gpus": count.value,
        "emulated": "emulator" in name.value.decode().lower(),
        "driver_cuda": f"{version.value // 1000}.{version.value % 1000 // 10}",
    }


def visible_gpu():
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def nvidia_smi():
    """The first GPU's facts, by name; None where nvidia-smi does not answer."""
    facts = ["name", "driver_version", "compute_cap", "memory.total", "power.limit", "clocks.max.sm",
             "clocks.max.memory", "ecc.mode.current", "mig.mode.current", "persistence_mode"]
    command = ["nvidia-smi", "-i", visible_gpu(), f"--query-gpu={','.join(facts)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    values = [value.strip() for value in done.stdout.strip().split("\n")[0].split(",")]
    return dict(zip(facts, values)) if done.returncode == 0 and len(values) == len(facts) else None


def pytorch_environment(emulated):
    """PyTorch finds its own libraries; the emulator's are not for it."""
    environment = dict(os.environ)
    if emulated:
        environment.pop("LD_LIBRARY_PATH", None)
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment


def pytorch(emulated):
    """PyTorch's versions, or None."""
    asked = ("import json, torch; c = torch.cuda.is_available(); print(json.dumps({'version': torch.__version__, "
             "'cuda': torch.version.cuda, 'cudnn': torch.backends.cudnn.version(), 'sees_a_gpu': c}))")
    done = subprocess.run([sys.executable, "-c", asked], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=pytorch_environment(emulated))
    return json.loads(done.stdout) if done.returncode == 0 else None


def machine():
    facts = driver()
    if facts["emulated"] and not options.quick:
        raise Failed("this is the emulator, which can run --quick alone")
    model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    facts.update({
        "nvidia_smi": nvidia_smi(),
        "pytorch": pytorch(facts["emulated"]),
        "python": platform.python_version(),
        "processor": f"{model[0] if model else platform.machine()}, {os.cpu_count()} threads",
        "system": f"{platform.system()} {platform.release()}",
        "quick": options.quick,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "build": json.loads((HERE / "build.json").read_text()),
    })
    write("machine", facts)
    print(json.dumps(facts, indent=1))


def libraries():
    """Prints the folders that hold the libraries the programs were linked with, joined by colons."""
    build = json.loads((HERE / "build.json").read_text())
    here = platform.libc_ver()[1]
    if [int(n) for n in here.split(".")] < [int(n) for n in build["glibc"].split(".")]:
        raise Failed(f"the programs need glibc {build['glibc']} and this system has {here}: "
                     "build the folder on an older system")
    patterns = [f"{folder}/nvidia/*/lib" for folder in sys.path if folder]
    patterns += ["/usr/local/cuda/lib64", "/usr/local/cuda-*/lib64"]
    folders = [folder for pattern in patterns for folder in sorted(glob.glob(pattern))]
    found, missing = [], []
    for name in build["libraries"]:
        try:
            ctypes.CDLL(name)
            continue  # The loader knows where.
        except OSError:
            pass
        holders = [folder for folder in folders if Path(folder, name).exists()]
        found += holders[:1]
        missing += [] if holders else [name]
    if missing:
        has = pytorch(emulated=False)
        has = f"PyTorch here brings CUDA {has['cuda']}" if has else "there is no PyTorch here"
        raise Failed(f"{', '.join(missing)} not found: the programs were built with CUDA {build['cuda']}, and {has}. "
                     "Build the folder with that CUDA (CUDA_HOME=... scripts/gpu/build.sh), or install CUDA "
                     f"{build['cuda']} in /usr/local/cuda")
    print(":".join(dict.fromkeys(found)))


def unpack():
    """The programs, out of their archive."""
    with tarfile.open(HERE / "programs.tar.xz") as programs:
        programs.extractall(options.work)


# ---- Checks ----


def lines_by_name(path):
    """Results by (what, type), each with its lines in their order."""
    found = {}
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
        for line in map(json.loads, lines):
            found.setdefault((line["what"], line["type"]), []).append(line)
    return found


def difference(ours, theirs, line):
    """How far two values differ, in units of what is allowed."""
    if ours == theirs or (math.isnan(ours) and math.isnan(theirs)):
        return 0.0
    apart = abs(ours - theirs)
    allowed = line["absolute"] + line["relative"] * abs(theirs)
    return apart / allowed if allowed and math.isfinite(apart) else math.inf


def results():
    """Every result of the tests here against what the emulator gave where the folder was built."""
    theirs, ours = lines_by_name(HERE / "emulated-results.jsonl.gz"), lines_by_name(options.work / "results.jsonl")
    rows, bad = [], []
    for name in sorted(theirs):
        pairs = []
        for their, our in itertools.zip_longest(theirs[name], ours.get(name, [])):
            if their is None or our is None:
                bad.append(f"{' '.join(name)}: {len(theirs[name])} results of the emulator, "
                           f"{len(ours.get(name, []))} here")
                break
            values = [[float(word) for word in line["values"].split()] for line in (our, their)]
            if len(values[0]) != len(values[1]):
                bad.append(f"{' '.join(name)}: results of different sizes")
                break
            pairs += [(a, b, difference(a, b, their)) for a, b in zip(*values)]
        worst = max((far for _, _, far in pairs), default=0.0)
        if worst > 1:
            a, b, _ = max(pairs, key=lambda pair: pair[2])
            bad.append(f"{' '.join(name)}: {a} here and {b} under the emulator, {worst:.3g} times what is allowed")
        rows.append({
            "what": name[0], "type": name[1], "values": len(pairs),
            "equal": sum(far == 0 for _, _, far in pairs), "worst_of_allowed": worst if worst < math.inf else None,
        })
    bad += [f"{' '.join(name)}: not among the emulator's" for name in sorted(ours) if name not in theirs]
    write("results", rows)
    print(f"{len(rows)} kinds of result, {sum(row['values'] for row in rows)} values, "
          f"{sum(row['equal'] for row in rows)} the same bit for bit")
    if bad:
        raise Failed("; ".join(bad))


def pictures():
    """The first `count` training pictures of those shipped, and as many to validate, in `folder`."""
    folder, count = options.work / "pictures", options.count
    folder.mkdir()
    for part, (kind, head, size) in itertools.product(
            ["train", "t10k"], [("images-idx3", 16, 28 * 28), ("labels-idx1", 8, 1)]):
        name = f"{part}-{kind}-ubyte"
        whole = gzip.decompress((HERE / "pictures" / f"{name}.gz").read_bytes())
        take = count if part == "train" else 100
        (folder / name).write_bytes(
            whole[:4] + struct.pack(">I", take) + whole[8:head] + whole[head:head + take * size])


def losses(run):
    """The training loss of each step of a run."""
    lines = map(json.loads, (options.work / run / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "top1_error" not in line]


def traces():
    """The training losses of runs on GPUs against the CPU's."""
    cpu = losses("run-cpu")
    rows, bad = [{"devices": "cpu", "losses": cpu}], []
    for run in sorted(options.work.glob("run-cuda*")):
        gpu = losses(run.name)
        if len(gpu) != len(cpu):
            raise Failed(f"{run.name}: {len(gpu)} steps, and {len(cpu)} on the CPU")
        apart = max(abs(a - b) / abs(b) for a, b in zip(gpu, cpu))
        devices = run.name[len("run-"):]
        rows.append({"devices": devices, "losses": gpu, "largest_difference": apart})
        print(f"{devices}: {len(gpu)} steps, loss {gpu[0]:.6f} to {gpu[-1]:.6f}, {apart:.2e} from the CPU's at most")
        if not apart <= options.allowed:
            bad.append(f"on {devices} a step's loss differs from the CPU's by {apart:.2e} of it, more than "
                       f"{options.allowed:.0e}")
    write("traces", rows)
    if bad or len(rows) == 1:
        raise Failed("; ".join(bad) or "no run on a GPU left its losses")


# ---- Measurements ----


def bench(*arguments):
    """`tandem bench` on the first GPU; a measurement, or what it failed with."""
    command = [str(options.work / "bin" / "tandem"), "bench", "--devices", "cuda:0", "--json", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        return {"error": words[max(words.rfind("error:"), 0):][:300]}
    return json.loads(done.stdout)


def kernels():
    """Each kernel's time, and its share of the bandwidth of a copy."""
    size = ["--model", "mini", "--batch", 4] if options.quick else ["--model", "alexnet", "--batch", 1024]
    steps = ["--steps", 1, "--warmup", 0] if options.quick else ["--steps", 20, "--warmup", 3]
    rows, bad = [], []
    for mode, dtype in itertools.product(["lrn", "pool", "lrn-pool", "conv", "sgd"], ["f32", "bf16"]):
        row = bench("--mode", mode, "--dtype", dtype, *size, *steps)
        if not row.get("error") and not row.get("kernels"):
            row["error"] = "it names no kernel"
        if row.get("error"):
            bad.append(f"{mode} in {dtype}: {row['error']}")
        rows.append({"mode": mode, "dtype": dtype, **row})
        print(json.dumps(rows[-1] if not options.emulated else speechless(rows[-1])))
    write("kernels", speechless(rows) if options.emulated else rows)
    if bad:
        raise Failed("; ".join(bad))


# What an emulator's run leaves of measurements: that they were made, and nothing of how fast.
SPEEDS = ("seconds", "per_second", "share", "memory", "spread")


def speechless(value):
    if isinstance(value, list):
        return [speechless(item) for item in value]
    if isinstance(value, dict):
        return {key: speechless(item) for key, item in value.items() if not any(word in key for word in SPEEDS)}
    return value


class DeviceMemory:
    """What the GPU holds, as nvidia-smi reads it ten times a second: both sides by one measure."""

    def __init__(self):
        self.readings, self.process = [], None
        command = ["nvidia-smi", "-i", visible_gpu(), "--query-gpu=memory.used", "--format=csv,noheader,nounits",
                   "-lms", "100"]
        if shutil.which("nvidia-smi") and not options.emulated:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self.follow, daemon=True).start()
            waited = time.monotonic() + 5
            while not self.readings and time.monotonic() < waited:
                time.sleep(0.1)
        self.idle = self.readings[-1][1] if self.readings else 0

    def follow(self):
        for line in self.process.stdout:
            if line.strip().isdigit():
                self.readings.append((time.monotonic(), int(line) * 2**20))

    def peak(self, since):
        """The most since then above what was held at the start; None without a reading."""
        read = [held for when, held in list(self.readings) if when >= since]
        return max(read) - self.idle if read else None

    def stop(self):
        if self.process:
            self.process.terminate()


def compare():
    """Training and inference here and in PyTorch, in the same run."""
    memory, rows = DeviceMemory(), []

    def note(row, since):
        row["device_memory_bytes"] = memory.peak(since)
        rows.append(row)
        write("compare", speechless(rows) if options.emulated else rows)
        print(json.dumps(speechless(row) if options.emulated else row), flush=True)

    batches = [2] if options.quick else [128, 1024, 256]
    steps = ["--steps", "1", "--warmup", "0"] if options.quick else ["--steps", "20", "--warmup", "5"]
    model = "mini" if options.quick else "alexnet"
    for mode in ["train", "infer"]:
        for batch, precision in itertools.product(batches, ["f32", "bf16"]):
            since = time.monotonic()
            row = bench("--model", model, "--mode", mode, "--batch", batch, "--precision", precision, *steps)
            note({"system": "Tandem", "mode": mode, "batch": batch, "precision": precision, **row}, since)
        peer = [sys.executable, HERE / "pytorch_peer.py", "--mode", mode, *steps]
        peer += ["--batch", ",".join(map(str, batches))]
        if options.emulated:
            peer += ["--device", "cpu"]
        else:
            peer += ["--device", "cuda", "--precision", "bf16,tf32,f32", "--layout", "contiguous,channels-last",
                     "--compile", "no,default,reduce-overhead", "--compile-seconds",
                     str(options.seconds * (0.65 if mode == "train" else 0.35))]
        process = subprocess.Popen(list(map(str, peer)), stdout=subprocess.PIPE, text=True,
                                   env=pytorch_environment(options.emulated))
        since = time.monotonic()
        for line in process.stdout:
            note({**json.loads(line), "system": "PyTorch"}, since)
            since = time.monotonic()
        if process.wait() < 0 or not any(row["system"] == "PyTorch" and row["mode"] == mode for row in rows):
            note({"system": "PyTorch", "mode": mode, "error": f"the peer ended with {process.returncode}"}, since)
    memory.stop()
    bad = [f"{row['system']} {setting(row)} {row['mode']} at {row.get('batch')}: {row['error']}"
           for row in rows if row.get("error")]
    if bad:
        raise Failed("; ".join(bad))


def setting(row):
    compiled = row.get("compile", "")
    compiled = {"": "", "no": "eager", "default": "compiled"}.get(compiled, f"compiled, {compiled}")
    return ", ".join(word for word in [row.get("precision", ""), row.get("layout", ""), compiled] if word)


# ---- The report ----


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows] + [""]


def parts():
    """What accept.sh ran: name, exit status or why not, seconds, and of a failure its last lines."""
    found = []
    path = options.work / "parts.tsv"
    for line in path.read_text().splitlines() if path.exists() else []:
        name, status, seconds = line.split("\t")
        part = {"part": name, "result": {"0": "passed", "124": "stopped: out of time"}.get(status, "failed"),
                "exit_status": int(status), "seconds": int(seconds)}
        if status != "0":
            log = (options.work / f"{name}.log").read_text(errors="replace").splitlines()
            part["last_lines"] = [text[:400] for text in log if text.strip()][-12:]
        found.append(part)
    return found


def best(rows, system, mode, batch):
    """The fastest of a system's ways that were measured, or None."""
    ways = [row for row in rows if (row["system"], row["mode"], row.get("batch")) == (system, mode, batch)
            and "seconds_per_step" in row]
    return min(ways, key=lambda row: row["seconds_per_step"], default=None)


def aims(kernel_rows, compare_rows):
    """What the project wants to reach, and what was measured. They are no checks."""
    found = []

    def note(aim, measured, met, missing):
        """`missing` is what was asked for and not measured: with it an aim is not met, and may be missed."""
        found.append({"aim": aim, "measured": "; ".join(filter(None, [measured or "not measured", missing])),
                      "met": None if measured is None or (met and missing) else met})

    for mode in ["lrn", "pool"]:
        rows = [row for row in kernel_rows if row["mode"] == mode]
        shares = [kernel["share_of_copy"] for row in rows for kernel in row.get("kernels", [])
                  if "share_of_copy" in kernel and kernel["bytes"] >= BYTES and "naive" not in kernel["kernel"]]
        failed = [row["dtype"] for row in rows if row.get("error")]
        note(f"{mode}: every kernel that moves 100 MB or more at {SHARE:.0%} of a copy's bandwidth or above",
             f"{min(shares):.0%} to {max(shares):.0%}" if shares else None, bool(shares) and min(shares) >= SHARE,
             f"{', '.join(failed)} failed" if failed else "")
    for batch in [128, 1024]:
        ours, theirs = (best(compare_rows, system, "train", batch) for system in ("Tandem", "PyTorch"))
        missed = [row for row in compare_rows if "seconds_per_step" not in row
                  and (row["system"], row["mode"], row.get("batch")) == ("PyTorch", "train", batch)]
        ratio = theirs["seconds_per_step"] / ours["seconds_per_step"] if ours and theirs else None
        note(f"a training step at batch {batch} faster than PyTorch's best way",
             ratio and f"{ratio:.2f} times as fast ({setting(ours)} against {setting(theirs)})",
             bool(ratio) and ratio > 1,
             f"{len(missed)} of PyTorch's ways were not measured" if missed else "")
    return found


def kernel_table(rows):
    cells = []
    for row in rows:
        for kernel in row.get("kernels", []):
            product, speed = kernel["operations"], ["ran", "", ""]
            if not options.emulated:
                rate = (f"{product / kernel['seconds'] / 1e12:.1f} TFLOP/s" if product
                        else f"{kernel['gigabytes_per_second']:.0f} GB/s")
                share = "" if product else f"{kernel['share_of_copy']:.0%}"
                speed = [f"{kernel['seconds'] * 1e6:.1f} µs", rate, share]
            moves = f"{kernel['bytes'] / 1e6:.1f} MB"
            cells.append([row["mode"], kernel["operation"], kernel["kernel"], row["dtype"], moves, *speed])
    copies = [row["copy_gigabytes_per_second"] for row in rows if "copy_gigabytes_per_second" in row]
    lines = [f"A copy from device memory to device memory: {min(copies):.0f} to {max(copies):.0f} GB/s, read and "
             f"written bytes counted. The caches are flushed before each operation.", ""] if copies else []
    return lines + table(["mode", "operation", "kernel", "type", "moves", "time", "rate", "of a copy"], cells)


def compare_table(rows):
    cells = []
    for row in rows:
        speed = ["ran", "", "", ""]
        if "seconds_per_step" in row:
            fastest, slowest = row["seconds_range"]
            held = row["device_memory_bytes"]
            speed = [f"{row['seconds_per_step'] * 1e3:.2f} ms", f"{fastest * 1e3:.2f} to {slowest * 1e3:.2f} ms",
                     f"{row['images_per_second']:.0f}", f"{held / 2**30:.2f} GiB" if held else ""]
        elif row.get("error") or row.get("skipped"):
            speed[0] = f"failed: {row['error'][:100]}" if row.get("error") else f"not run: {row['skipped']}"
        cells.append([row["mode"], row.get("batch", ""), row["system"], setting(row), *speed])
    head = ["mode", "batch", "system", "way", "median of a step", "fastest to slowest", "images/s", "device memory"]
    return table(head, cells)


def report():
    facts, checks = read("machine") or {}, parts()
    options.emulated = facts.get("emulated", True)
    found = {name: read(name) for name in ["results", "traces", "kernels", "compare"]}
    wanted = aims(found["kernels"] or [], found["compare"] or [])
    failed = [part["part"] for part in checks if part["exit_status"]]
    whole = {"machine": facts, "passed": bool(checks) and not failed, "failed": failed, "emulated": options.emulated,
             "parts": checks, "aims": wanted, **found}
    (options.out / "acceptance.json").write_text(json.dumps(whole, indent=1) + "\n")

    smi, torch, build = (facts.get(key) or {} for key in ("nvidia_smi", "pytorch", "build"))
    text = ["# Tandem on a GPU", ""]
    if options.emulated:
        text += ["**No GPU was here: this is the emulator's run, which shows that the parts fit and nothing of speed.**"
                 if facts else "**No GPU was found.**", ""]
    if facts.get("quick"):
        text += ["A quick run, of small sizes.", ""]
    text += [] if not facts else table(["", ""], [(key, value) for key, value in [
        ("GPU", ", ".join(filter(None, [facts.get("gpu"), smi.get("memory.total"), f"{facts.get('gpus')} of them"
                                        if facts.get("gpus", 1) > 1 else ""]))),
        ("driver", ", ".join(filter(None, [smi.get("driver_version"), f"CUDA {facts.get('driver_cuda')}"]))),
        ("limits", ", ".join(f"{key} {smi[key]}" for key in ["power.limit", "clocks.max.sm", "clocks.max.memory",
                                                             "ecc.mode.current", "mig.mode.current"] if key in smi)),
        ("PyTorch", f"{torch['version']}, CUDA {torch['cuda']}, cuDNN {torch['cudnn']}" if torch else "none"),
        ("host", f"{facts.get('processor')}, {facts.get('system')}"),
        ("Tandem", f"commit {build.get('commit')}, built with CUDA {build.get('cuda')}"),
        ("date", facts.get("date")),
    ] if value])
    text += ["## Checks", ""] + table(["part", "result", "time"], [
        (part["part"], part["result"], f"{part['seconds']} s") for part in checks])
    for part in checks:
        if part["exit_status"]:
            text += [f"`{part['part']}` ended so:", "", "```text", *part.get("last_lines", []), "```", ""]
    if found["results"]:
        text += ["## Operations: here against the emulator", "",
                 "*Worst* is the largest difference in parts of what the tests allow.", ""]
        text += table(["result", "type", "values", "bit for bit", "worst"], [
            (row["what"], row["type"], row["values"], row["equal"],
             "" if row["worst_of_allowed"] is None else f"{row['worst_of_allowed']:.3f}") for row in found["results"]])
    if found["traces"]:
        text += ["## Training: the loss of each step against the CPU's", ""]
        text += table(["devices", "steps", "first loss", "last loss", "largest difference"], [
            (row["devices"], len(row["losses"]), f"{row['losses'][0]:.6f}", f"{row['losses'][-1]:.6f}",
             f"{row['largest_difference']:.1e}" if "largest_difference" in row else "") for row in found["traces"]])
    if found["kernels"]:
        text += ["## Kernels", ""] + kernel_table(found["kernels"])
    if found["compare"]:
        text += ["## Against PyTorch", "", "Medians over the steps of one process; PyTorch with cuDNN's benchmark mode "
                 "and its fused SGD. *Device memory* is the highest reading of nvidia-smi, less that before.", ""]
        text += compare_table(found["compare"])
    if not options.emulated:
        text += ["## Aims", ""] + table(["aim", "measured", "met"], [
            (aim["aim"], aim["measured"], {True: "yes", False: "no", None: ""}[aim["met"]]) for aim in wanted])
    (options.out / "acceptance.md").write_text("\n".join(text))
    sys.exit(not whole["passed"])


arguments = argparse.ArgumentParser(description=__doc__)
commands = [machine, libraries, unpack, results, pictures, traces, kernels, compare, report]
arguments.add_argument("command", choices=[command.__name__ for command in commands])
arguments.add_argument("--work", type=Path, help="where the parts leave what they found")
arguments.add_argument("--out", type=Path, help="where the report goes")
arguments.add_argument("--quick", action="store_true", help="small sizes")
arguments.add_argument("--count", type=int, help="pictures to train on")
arguments.add_argument("--allowed", type=float, help="how far a step's loss may be from the CPU's, in parts of it")
arguments.add_argument("--seconds", type=float, help="for PyTorch's compiled ways, about")
options = arguments.parse_args()
options.emulated = bool((options.work and read("machine") or {}).get("emulated"))
try:
    {command.__name__: command for command in commands}[options.command]()
except Failed as why:
    sys.exit(f"{options.command}: {why}")
