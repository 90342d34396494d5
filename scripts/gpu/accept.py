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
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

from common import Failed, bench, last_line, options, pytorch_environment, read, tandem, visible_gpu, write
from measure import compare, kernels
from report import report

HERE = Path(__file__).resolve().parent


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
        "driver_cuda": dotted(version),
    }


def dotted(version):
    """13.0 for 13000."""
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


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


def machine():
    facts = driver()
    options.emulated = facts["emulated"]
    if options.emulated and not options.quick:
        raise Failed("this is the emulator, which can run --quick alone")
    model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    facts.update({
        "nvidia_smi": nvidia_smi(),
        "python": platform.python_version(),
        "processor": f"{model[0] if model else platform.machine()}, {os.cpu_count()} threads",
        "system": f"{platform.system()} {platform.release()}",
        "quick": options.quick,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "build": json.loads((HERE / "build.json").read_text()),
    })
    # What follows may take long, or fail.
    write("machine", facts)
    asked = ("import json, torch; c = torch.cuda.is_available(); print(json.dumps({'version': torch.__version__, "
             "'cuda': torch.version.cuda, 'cudnn': torch.backends.cudnn.version(), 'sees_a_gpu': c}))")
    facts["pytorch"] = last_line([sys.executable, "-c", asked], 120, pytorch_environment())
    write("machine", facts)
    print(json.dumps(facts, indent=1))


def library_folders():
    """Where CUDA's libraries may be beside where the loader looks: PyTorch's wheels, then toolkits."""
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), nvcc and Path(nvcc).resolve().parent.parent]
    homes = [home for home in homes if home] + sorted(glob.glob("/usr/local/cuda*"))
    patterns = [f"{folder}/nvidia/*/lib" for folder in sys.path if folder]
    patterns += [f"{home}/{part}" for home in homes for part in ("lib64", "lib", "targets/*/lib")]
    return [folder for pattern in patterns for folder in sorted(glob.glob(pattern))]


def libraries():
    """Leaves what LD_LIBRARY_PATH must be for the libraries that the programs were linked with."""
    build, facts = json.loads((HERE / "build.json").read_text()), read("machine")
    here = platform.libc_ver()[1]
    if [int(n) for n in here.split(".")] < [int(n) for n in build["glibc"].split(".")]:
        raise Failed(f"the programs need glibc {build['glibc']} and this system has {here}: "
                     "build the folder on an older system")
    folders, found, missing, nvrtc = library_folders(), [], [], None
    print("looking where the loader does, and in", *folders)
    for name in build["libraries"] + [build["cudnn"]]:
        library = holder = trouble = None
        try:
            library = ctypes.CDLL(name)
        except OSError:
            holder = next((folder for folder in folders if Path(folder, name).exists()), None)
            try:
                library = holder and ctypes.CDLL(str(Path(holder, name)))
            except OSError as why:
                trouble = f"{name} in {holder} does not load: {why}"
        if not library:
            pattern = name.split(".so")[0] + ".so*"
            others = [str(path) for folder in folders for path in Path(folder).glob(pattern)]
            trouble = trouble or f"{name} is not here" + (f", only {' '.join(others)}" if others else "")
        if name == build["cudnn"]:
            major = library and hasattr(library, "cudnnGetCudartVersion") and library.cudnnGetCudartVersion() // 1000
            if major and major != int(build["cuda"].split(".")[0]):
                library, trouble = None, f"{name} is for CUDA {major}"
            facts["cudnn"] = library.cudnnGetVersion() if library else None
        elif trouble:
            missing.append(trouble)
        found += [holder] if holder and library else []
        if library and name.startswith("libnvrtc"):
            major, minor = ctypes.c_int(), ctypes.c_int()
            library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
            nvrtc = (major.value, minor.value)
        print(trouble or f"{name} from {holder or 'where the loader looks'}")
    if missing:
        has = (facts.get("pytorch") or {}).get("cuda")
        raise Failed("; ".join(missing) + f". The programs were built with CUDA {build['cuda']}, and PyTorch here "
                     f"brings {'CUDA ' + has if has else 'none'}: build the folder with the CUDA that is here "
                     f"(CUDA_HOME=... scripts/gpu/build.sh), or install CUDA {build['cuda']}")
    if nvrtc and nvrtc > tuple(int(n) for n in facts["driver_cuda"].split(".")):
        raise Failed(f"NVRTC here is of CUDA {nvrtc[0]}.{nvrtc[1]} and the driver serves {facts['driver_cuda']}, which "
                     "does not take kernels of a newer compiler: put an older toolkit's folder on LD_LIBRARY_PATH")
    print("NVRTC", nvrtc, "and the driver's CUDA", facts["driver_cuda"])
    if not facts["cudnn"]:
        print("so convolutions by cuDNN are left out")
    write("machine", facts)
    before = os.environ.get("LD_LIBRARY_PATH")
    (options.work / "library-path").write_text(":".join(dict.fromkeys(([before] if before else []) + found)))


def unpack():
    """The programs, out of their archive."""
    with tarfile.open(HERE / "programs.tar.xz") as programs:
        programs.extractall(options.work)


def start():
    """Whether the command meets the GPU and makes two steps on it, before all that takes longer."""
    doctor = tandem("doctor", "--json", seconds=30)
    print(json.dumps(doctor, indent=1))
    gpus = doctor.get("gpus") or {}
    error = doctor.get("error") or gpus.get("error") or (None if gpus.get("gpus") else "it meets no GPU")
    if error:
        raise Failed(f"tandem doctor: {error}")
    row = bench("--model", "mini", "--batch", 2, "--steps", 2, "--warmup", 0, seconds=90)
    if row.get("error"):
        raise Failed(f"tandem bench: {row['error']}")


# ---- Checks ----


def lines_by_name(path):
    """Results by (what, type), each with its lines in their order, and how many lines were broken."""
    found, broken = {}, 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", errors="replace") as lines:
            for text in lines:
                try:
                    line = json.loads(text)
                    line["values"] = [float(word) for word in line["values"].split()]
                    line["allowed"] = (float(line["absolute"]), float(line["relative"]))
                    found.setdefault((line["what"], line["type"]), []).append(line)
                except (ValueError, KeyError, TypeError, AttributeError):
                    broken += 1
    except (OSError, EOFError) as why:
        raise Failed(f"{path.name} cannot be read: {why}")
    return found, broken


def difference(ours, theirs, allowed):
    """How far two values differ, in units of what is allowed."""
    if ours == theirs or (math.isnan(ours) and math.isnan(theirs)):
        return 0.0
    apart, unit = abs(ours - theirs), allowed[0] + allowed[1] * abs(theirs)
    return apart / unit if unit > 0 and math.isfinite(apart) else math.inf


def results():
    """Every result of the tests here against what the emulator gave where the folder was built."""
    theirs, _ = lines_by_name(HERE / "emulated-results.jsonl.gz")
    ours, broken = lines_by_name(options.work / "results.jsonl")
    rows, bad = [], [f"{broken} lines of results are broken"] if broken else []
    for name in sorted(theirs):
        pairs = []
        for their, our in itertools.zip_longest(theirs[name], ours.get(name, [])):
            if their is None or our is None:
                bad.append(f"{' '.join(name)}: {len(theirs[name])} results of the emulator, "
                           f"{len(ours.get(name, []))} here")
                break
            if len(our["values"]) != len(their["values"]):
                bad.append(f"{' '.join(name)}: results of different sizes")
                break
            pairs += [(a, b, difference(a, b, their["allowed"])) for a, b in zip(our["values"], their["values"])]
        worst = max((far for _, _, far in pairs), default=0.0)
        if worst > 1:
            a, b, _ = max(pairs, key=lambda pair: pair[2])
            bad.append(f"{' '.join(name)}: {a} here and {b} under the emulator, {worst:.3g} times what is allowed")
        rows.append({
            "what": name[0], "type": name[1], "values": len(pairs),
            "equal": sum(far == 0 for _, _, far in pairs), "worst_of_allowed": worst,
        })
    bad += [f"{' '.join(name)}: not among the emulator's" for name in sorted(ours) if name not in theirs]
    write("results", rows)
    print(f"{len(rows)} kinds of result, {sum(row['values'] for row in rows)} values, "
          f"{sum(row['equal'] for row in rows)} the same bit for bit")
    if bad or not rows:
        raise Failed("; ".join(bad) or "the emulator's results are empty")


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
    try:
        lines = map(json.loads, (options.work / run / "metrics.jsonl").read_text().splitlines())
        found = [float(line["loss"]) for line in lines if "top1_error" not in line]
    except (OSError, ValueError, KeyError, TypeError) as why:
        raise Failed(f"{run} left no losses: {type(why).__name__}: {why}")
    if not found or not all(map(math.isfinite, found)):
        raise Failed(f"{run} left no finite losses: {found[:3]}")
    return found


def traces():
    """The training losses of runs on GPUs against the CPU's."""
    cpu = losses("run-cpu")
    rows, bad = [{"devices": "cpu", "losses": cpu}], []
    for run in sorted(options.work.glob("run-cuda*")):
        devices = run.name[len("run-"):]
        try:
            gpu = losses(run.name)
        except Failed as why:
            bad.append(str(why))
            continue
        apart = max(abs(a - b) / max(abs(b), 1e-9) for a, b in zip(gpu, cpu))
        rows.append({"devices": devices, "losses": gpu, "largest_difference": apart})
        print(f"{devices}: {len(gpu)} steps, loss {gpu[0]:.6f} to {gpu[-1]:.6f}, {apart:.2e} from the CPU's at most")
        if len(gpu) != len(cpu):
            bad.append(f"on {devices} {len(gpu)} steps, and {len(cpu)} on the CPU")
        elif apart > options.allowed:
            bad.append(f"on {devices} a step's loss differs from the CPU's by {apart:.2e} of it, more than "
                       f"{options.allowed:.0e}")
    write("traces", rows)
    if bad or len(rows) == 1:
        raise Failed("; ".join(bad) or "no run on a GPU left its losses")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    commands = {command.__name__: command for command in [
        machine, libraries, unpack, start, results, pictures, traces, kernels, compare, report]}
    arguments.add_argument("command", choices=commands)
    arguments.add_argument("--work", type=Path, help="where the parts leave what they found")
    arguments.add_argument("--out", type=Path, help="where the report goes")
    arguments.add_argument("--quick", action="store_true", help="small sizes")
    arguments.add_argument("--count", type=int, help="pictures to train on")
    arguments.add_argument("--allowed", type=float, help="how far a step's loss may be from the CPU's, in parts of it")
    arguments.add_argument("--seconds", type=float, help="when to end, from the start on")
    arguments.parse_args(namespace=options)
    known = read("machine") or {}
    options.emulated, options.cudnn = bool(known.get("emulated")), bool(known.get("cudnn"))
    try:
        commands[options.command]()
    except Failed as why:
        sys.exit(f"{options.command}: {why}")


if __name__ == "__main__":
    main()
