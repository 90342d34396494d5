"""What accept.sh measures: Tandem's kernels alone, and its network beside PyTorch's."""
import itertools
import json
import math
import queue
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from common import Failed, bench, clean, number, options, pytorch_environment, speechless, visible_gpu, write

HERE = Path(__file__).resolve().parent


class Deadline:
    """When a part must have ended."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds
        # The emulator takes longer for everything.
        self.patience = 20 if options.emulated else 1

    def left(self):
        return self.end - time.monotonic()

    def bench(self, longest, *arguments, **program):
        """`tandem bench`, for so long at most as a GPU takes."""
        seconds = min(self.left(), longest * self.patience)
        return bench(*arguments, seconds=seconds, **program) if seconds > 3 else {"error": "no time was left for it"}


# Convolutions by it, and the command that has them.
CUDNN = "conv by cuDNN"
PROGRAMS = {"": "tandem", CUDNN: "tandem-cudnn"}


def kernels():
    """Each kernel's time, and its share of the bandwidth of a copy."""
    size = ["--model", "mini", "--batch", 4] if options.quick else ["--model", "alexnet", "--batch", 1024]
    steps = ["--steps", 1, "--warmup", 0] if options.emulated else ["--steps", 20, "--warmup", 3]
    dtypes = ["bf16"] if options.quick and not options.emulated else ["f32", "bf16"]
    rows, bad, deadline = [], [], Deadline(options.seconds)
    modes = ["lrn", "pool", "lrn-pool", "conv", "sgd", "dropout", "augment"]
    plan = list(itertools.product(modes, dtypes)) + [(CUDNN, "bf16")] * options.cudnn
    for mode, dtype in plan:
        by = {"program": PROGRAMS[CUDNN]} if mode == CUDNN else {}
        row = deadline.bench(45, "--mode", "conv" if by else mode, "--dtype", dtype, *size, *steps, **by)
        if not row.get("error") and not row.get("kernels"):
            row["error"] = "it names no kernel"
        if by and not row.get("error") and not any(k["kernel"].startswith("cudnn_") for k in row["kernels"]):
            row["error"] = "cuDNN computes none of it"
        if row.get("error"):
            bad.append(f"{mode} in {dtype}: {row['error']}")
        rows.append({**row, "mode": mode, "dtype": dtype})
        write("kernels", speechless(rows))
        print(json.dumps(clean(speechless(rows[-1]))), flush=True)
    if bad:
        raise Failed("; ".join(bad))


LAST, ROWS = "channels-last", "contiguous"


def plan():
    """What is compared, in its order: Tandem's runs; PyTorch's ways, those first that tell most for
    their time, for a compiled one takes five times an eager one's; some of Tandem's runs once more."""

    def of(modes, batches, precisions, layouts, compiled):
        keys = ["mode", "batch", "precision", "layout", "compile"]
        ways = itertools.product(modes, batches, precisions, layouts, compiled)
        return [{"system": "PyTorch", **dict(zip(keys, way))} for way in ways]

    train, infer, both = ["train"], ["infer"], ["train", "infer"]
    batches, wide, precisions = [128, 1024, 256], [128, 1024], ["bf16", "f32"]
    if options.emulated:
        batches, theirs = [2], of(both, [2], ["f32"], [ROWS], ["no"])
    elif options.quick:
        batches, precisions = [32], ["bf16"]
        theirs = of(train, [32], ["bf16"], [LAST], ["no", "default"]) + of(infer, [32], ["bf16"], [LAST], ["no"])
    else:
        theirs = [
            # The aims ask for these.
            *of(train, wide, ["bf16"], [LAST], ["no", "default"]),
            *of(train, [128], ["bf16"], [LAST], ["reduce-overhead"]),
            *of(train, wide, ["bf16"], [ROWS], ["no"]),
            *of(infer, wide, ["bf16"], [LAST, ROWS], ["no"]),
            *of(infer, wide, ["bf16-weights"], [LAST], ["no", "default"]),
            *of(both, wide, ["tf32"], [LAST], ["no"]),
            *of(both, [256], ["bf16"], [LAST], ["no"]),
            *of(train, wide, ["bf16"], [ROWS], ["default"]),
            *of(both, batches, ["f32"], [ROWS], ["no"]),
            # As far as the time goes.
            *of(both, [256], ["bf16"], [ROWS], ["no"]),
            *of(train, [256], ["bf16"], [LAST], ["default"]),
            *of(infer, [256], ["bf16-weights"], [LAST], ["no", "default"]),
            *of(infer, [128], ["bf16-weights"], [LAST], ["reduce-overhead"]),
            *of(infer, wide, ["bf16"], [LAST, ROWS], ["default"]),
            *of(both, batches, ["tf32"], [LAST], ["default"]),
            *of(both, wide, ["tf32"], [ROWS], ["no"]),
            *of(both, [256], ["tf32"], [LAST, ROWS], ["no"]),
        ]
    runs = itertools.product(both, precisions, batches)
    ours = [{"system": "Tandem", "mode": mode, "batch": batch, "precision": precision, "turn": 1}
            for mode, precision, batch in runs]
    telling = [run for run in ours if run["batch"] in wide and run["precision"] == "bf16"]
    by_cudnn = [{**run, "convolutions": CUDNN} for run in (ours if options.quick else telling)] * options.cudnn
    again = [] if options.quick else [{**run, "turn": 2} for run in telling]
    return ours + by_cudnn, theirs, again


def setting(row):
    """A run or a way but for mode and batch, in words."""
    compiled = row.get("compile", "")
    compiled = {"": "", "no": "eager", "default": "compiled"}.get(compiled, f"compiled, {compiled}")
    words = [row.get("precision", ""), row.get("convolutions", ""), row.get("layout", ""), compiled]
    return ", ".join(filter(None, words))


def called(row):
    """Which run or way of the plan it is."""
    return f"{row['system']} {row['mode']} {row['batch']} {setting(row)} {row.get('turn', '')}".strip()


class Watch:
    """What nvidia-smi reads of the GPU ten times a second: both sides by one measure."""

    def __init__(self):
        self.readings, self.process = [], None
        # Line by line, or they come late.
        command = ["stdbuf", "-oL", "nvidia-smi", "-i", visible_gpu(), "-lms", "100",
                   "--query-gpu=memory.used,clocks.sm,power.draw", "--format=csv,noheader,nounits"]
        if shutil.which("nvidia-smi") and not options.emulated:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            threading.Thread(target=self.follow, daemon=True).start()
            waited = time.monotonic() + 5
            while not self.readings and time.monotonic() < waited:
                time.sleep(0.1)
        self.idle = self.readings[-1][1] if self.readings else None

    def follow(self):
        def value(word):
            try:
                return float(word)
            except ValueError:  # "[N/A]"
                return None

        for line in self.process.stdout:
            values = [value(word) for word in line.split(",")]
            if len(values) == 3:
                self.readings.append((time.monotonic(), *values))

    def between(self, since, until):
        """The most memory above what was held at the start, and clock and power in the middle."""
        read = [reading for reading in list(self.readings) if since <= reading[0] <= until]

        def of(index, pick):
            values = [reading[index] for reading in read if reading[index] is not None]
            return pick(values) if values else None

        held = of(1, max)
        return {
            "device_memory_bytes": None if held is None or self.idle is None else (held - self.idle) * 2**20,
            "sm_clock_mhz": of(2, statistics.median),
            "power_watts": of(3, statistics.median),
        }

    def stop(self):
        if self.process:
            self.process.terminate()


class Peer:
    """PyTorch in a process of its own, asked for one way after the other. One that dies, hangs or
    says what is no answer is ended, and the next way begins another."""

    def __init__(self):
        self.process = None
        # How many ended in a row, by the mode of torch.compile.
        self.ended = {}

    def begin(self):
        command = [sys.executable, HERE / "pytorch_peer.py", "--ways"]
        command += (["--device", "cpu", "--steps", 1, "--warmup", 0] if options.emulated else
                    ["--device", "cuda", "--steps", 20, "--warmup", 5, "--seconds", 1])
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, errors="replace", env=pytorch_environment())
        self.lines = queue.Queue()
        threading.Thread(target=self.follow, args=(self.process, self.lines), daemon=True).start()

    @staticmethod
    def follow(process, lines):
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    def ask(self, way, seconds):
        """Its answer; of a peer that gave none, what became of it."""
        ended = self.ended.get(way["compile"], 0)
        if ended >= 2:
            return {"skipped": "two peers ended over such ways"}
        if self.process and self.process.poll() is not None:
            self.end()
        if self.process is None:
            self.begin()
        self.ended[way["compile"]] = ended + 1
        line = None
        try:
            asked = {key: way[key] for key in ["mode", "batch", "precision", "layout", "compile"]}
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            self.end()
            return {"skipped": f"stopped after {seconds:.0f} s"}
        except OSError:  # it is gone, as the end of its lines would say
            pass
        if line is None:
            return {"error": f"the peer ended with {self.end()}"}
        try:
            answer = json.loads(line)
            answered = number(answer.get("seconds_per_step")) or answer.get("error") or answer.get("skipped")
        except (ValueError, AttributeError):
            answered = False
        if not answered:
            self.end()
            return {"error": f"the peer said {line.strip()[:100]!r}"}
        if answer.get("broken"):
            self.end()
        else:
            self.ended[way["compile"]] = 0
        return answer

    def end(self):
        """Its exit status, if it had ended by itself."""
        process, self.process = self.process, None
        if process:
            process.kill()
            return process.wait()


def compare():
    """Training and inference here and in PyTorch, in the same run."""
    deadline, watch, rows, pace = Deadline(options.seconds), Watch(), [], {}
    ours, theirs, again = plan()

    def note(way, measure):
        begun = time.monotonic()
        row = {**measure(), **way}
        until = row.pop("until", time.monotonic())
        timed = row["seconds_per_step"] * row["steps"] if number(row.get("seconds_per_step")) else math.inf
        row.update(watch.between(max(begun, until - timed), until), took_seconds=time.monotonic() - begun)
        rows.append(row)
        write("compare", speechless(rows))
        print(json.dumps(clean(speechless(row))), flush=True)

    def run(way):
        mode, batch, precision = way["mode"], way["batch"], way["precision"]
        # For a second as far as the last run foretells, and half of it before to warm up.
        by = way.get("convolutions", "")
        picture = pace.get((mode, precision, by))
        steps = min(max(math.ceil(1 / (picture * batch)), 20), 1000) if picture else 100
        model, steps, warmup = ("mini", 1, 0) if options.emulated else ("alexnet", steps, steps // 2)
        row = deadline.bench(40, "--model", model, "--mode", mode, "--batch", batch, "--precision", precision,
                             "--steps", steps, "--warmup", warmup, program=PROGRAMS[by])
        if not row.get("error"):
            pace[mode, precision, by] = row["seconds_per_step"] / batch
        return {**row, "steps": steps}

    for way in ours:
        note(way, lambda: run(way))
    # The second turn takes what the first did.
    repeated = {called({**way, "turn": 1}) for way in again}
    reserved = 2 + 1.3 * sum(row["took_seconds"] for row in rows if called(row) in repeated)
    peer = Peer()
    for way in theirs:
        compiled, left = way["compile"] != "no", deadline.left() - reserved
        if left > (20 if compiled else 5):
            longest = (90 if compiled else 30) + (60 if peer.process is None else 0)
            note(way, lambda: peer.ask(way, min(left, longest * deadline.patience)))
    peer.end()
    for way in again:
        note(way, lambda: run(way))
    watch.stop()
    bad = [f"{called(row)}: {row['error']}" for row in rows if row["system"] == "Tandem" and row.get("error")]
    if not any(row["system"] == "PyTorch" and number(row.get("seconds_per_step")) for row in rows):
        bad.append("none of PyTorch's ways was measured")
    if bad:
        raise Failed("; ".join(bad))
