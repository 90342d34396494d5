"""The report of what accept.sh found: acceptance.json, and acceptance.md for people."""
import json
import sys

from common import clean, number, options, read
from measure import LAST, called, plan, setting

# Of the aims: the share of a copy's bandwidth, and of kernels that move how much.
SHARE, BYTES = 0.8, 100e6


def table(head, make, items):
    """A table with the cells that `make` makes of each item, or why it cannot."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for item in items:
        try:
            cells = make(item)
        except Exception as why:  # one row that is broken is no reason to lose the others
            cells = [f"not to be shown: {type(why).__name__}: {why}"]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return lines + [""]


def parts():
    """What accept.sh ran: name, exit status or why not, seconds, and of a failure its last lines. Of
    a part that ran again, the last."""
    found = {}
    path = options.work / "parts.tsv"
    for line in path.read_text().splitlines() if path.exists() else []:
        name, status, seconds = line.split("\t")
        part = {"part": name, "result": {"0": "passed", "124": "out of time", "137": "killed"}.get(status, "failed"),
                "exit_status": int(status), "seconds": int(seconds)}
        log = options.work / f"{name}.log"
        if status != "0" and log.exists():
            lines = log.read_text(errors="replace").splitlines()
            part["last_lines"] = [text[:400] for text in lines if text.strip()][-12:]
        found[name] = part
    return list(found.values())


def best(rows, system, mode, batch):
    """The fastest of a system's ways, each by its slower turn; None if none was measured."""
    ways = {}
    for row in rows:
        if (row["system"], row["mode"], row["batch"]) == (system, mode, batch) and number(row.get("seconds_per_step")):
            ways.setdefault(setting(row), []).append(row)
    slower = [max(turns, key=lambda row: row["seconds_per_step"]) for turns in ways.values()]
    return min(slower, key=lambda row: row["seconds_per_step"], default=None)


def aims(kernel_rows, compare_rows):
    """What the project wants to reach, and what was measured. They are no checks."""
    found = []

    def note(aim, measured, met, missing, undecided):
        """`missing` was asked for and not measured; an aim that seems met is undecided without it."""
        found.append({"aim": aim, "measured": "; ".join(filter(None, [measured or "not measured", missing])),
                      "met": None if measured is None or (met and undecided) else met})

    for mode in ["lrn", "pool"]:
        rows = [row for row in kernel_rows if row["mode"] == mode]
        large = [kernel for row in rows for kernel in row.get("kernels") or []
                 if number(kernel.get("bytes")) and kernel["bytes"] >= BYTES and "naive" not in kernel["kernel"]]
        shares = [kernel["share_of_copy"] for kernel in large if number(kernel.get("share_of_copy"))]
        failed = [row["dtype"] for row in rows if row.get("error")]
        lost = len(large) - len(shares)
        missing = [f"{', '.join(failed)} failed" if failed else "", f"{lost} kernels have no share" if lost else ""]
        missing = "; ".join(filter(None, missing))
        note(f"{mode}: every kernel that moves 100 MB or more at {SHARE:.0%} of a copy's bandwidth or above",
             f"{min(shares):.0%} to {max(shares):.0%}" if shares else None, bool(shares) and min(shares) >= SHARE,
             missing, missing or len(rows) < 2)
    for batch in [128, 1024]:
        ours, theirs = (best(compare_rows, system, "train", batch) for system in ("Tandem", "PyTorch"))
        ways = [row for row in compare_rows
                if (row["system"], row["mode"], row["batch"]) == ("PyTorch", "train", batch)]
        missed = [setting(row) for row in ways if not number(row.get("seconds_per_step"))]
        # What PyTorch's best is likely to be.
        measured = {setting(row) for row in ways} - set(missed)
        ratio = theirs["seconds_per_step"] / ours["seconds_per_step"] if ours and theirs else None
        note(f"a training step at batch {batch} faster than PyTorch's best way",
             ratio and f"{ratio:.2f} times as fast ({setting(ours)} against {setting(theirs)})",
             bool(ratio) and ratio > 1,
             f"{len(missed)} of PyTorch's {len(ways)} ways were not measured" if missed else "",
             not measured >= {f"bf16, {LAST}, eager", f"bf16, {LAST}, compiled"})
    return found


def kernel_cells(row):
    if row.get("error"):
        return [row["mode"], "", "", row["dtype"], "", f"failed: {row['error'][:100]}"]
    product, speed = row["operations"], ["ran"]
    if not options.emulated:
        rate = (f"{product / row['seconds'] / 1e12:.1f} TFLOP/s" if product
                else f"{row['gigabytes_per_second']:.0f} GB/s")
        speed = [f"{row['seconds'] * 1e6:.1f} µs", rate, "" if product else f"{row['share_of_copy']:.0%}"]
    return [row["mode"], row["operation"], row["kernel"], row["dtype"], f"{row['bytes'] / 1e6:.1f} MB", *speed]


def kernel_table(rows):
    copies = [row["copy_gigabytes_per_second"] for row in rows if number(row.get("copy_gigabytes_per_second"))]
    lines = [f"A copy from device memory to device memory: {min(copies):.0f} to {max(copies):.0f} GB/s, read and "
             f"written bytes counted. The caches are flushed before each operation.", ""] if copies else []
    head = ["mode", "operation", "kernel", "type", "moves", "time", "rate", "of a copy"]
    kernels = [{**row, **kernel} for row in rows for kernel in row.get("kernels") or [{}]]
    return lines + table(head, kernel_cells, kernels)


def compare_cells(row):
    speed = ["ran"]
    if row.get("error") or row.get("skipped"):
        speed = [f"failed: {row['error'][:100]}" if row.get("error") else f"not measured: {row['skipped']}"]
    elif not options.emulated:
        fastest, slowest = row["seconds_range"]
        held = [row.get(key) for key in ["device_memory_bytes", "allocated_bytes", "reserved_bytes"]]
        running = [f"{row[key]:.0f} {unit}" for key, unit in [("sm_clock_mhz", "MHz"), ("power_watts", "W")]
                   if number(row.get(key))]
        speed = [f"{row['seconds_per_step'] * 1e3:.2f} ms", f"{fastest * 1e3:.2f} to {slowest * 1e3:.2f} ms",
                 f"{row['images_per_second']:.0f}", *(f"{held / 2**30:.2f}" if number(held) else "" for held in held),
                 ", ".join(running)]
    once_more = ", once more" if row.get("turn") == 2 else ""
    return [row["mode"], row["batch"], row["system"], setting(row) + once_more, *speed]


def compare_table(rows):
    missed = sum(not number(row.get("seconds_per_step")) for row in rows)
    lines = [f"**{missed} of {len(rows)} were not measured.**", ""] if missed and not options.emulated else []
    head = ["mode", "batch", "system", "way", "median of a step", "fastest to slowest", "images/s", "device GiB",
            "allocated GiB", "reserved GiB", "clock, power"]
    return lines + table(head, compare_cells, rows)


def facts_table(facts):
    smi, torch, build = (facts.get(key) or {} for key in ("nvidia_smi", "pytorch", "build"))
    rows = [
        ("GPU", ", ".join(filter(None, [facts.get("gpu"), smi.get("memory.total"), f"{facts.get('gpus')} of them"
                                        if facts.get("gpus", 1) > 1 else ""]))),
        ("driver", ", ".join(filter(None, [smi.get("driver_version"), f"CUDA {facts.get('driver_cuda')}"]))),
        ("limits", ", ".join(f"{key} {smi[key]}" for key in ["power.limit", "clocks.max.sm", "clocks.max.memory",
                                                             "ecc.mode.current", "mig.mode.current"] if key in smi)),
        ("PyTorch", torch.get("error")
         or f"{torch.get('version')}, CUDA {torch.get('cuda')}, cuDNN {torch.get('cudnn')}"),
        ("host", f"{facts.get('processor')}, {facts.get('system')}"),
        ("Tandem", f"commit {build.get('commit')}, built with CUDA {build.get('cuda')}"
         + (f"; convolutions also by cuDNN {facts['cudnn']}" if facts.get("cudnn") else "")),
        ("date", facts.get("date")),
    ]
    return table(["", ""], lambda row: row, [row for row in rows if row[1]])


def markdown(whole):
    facts, checks, found = whole["machine"], whole["parts"], whole
    text = ["# Tandem on a GPU", ""]
    if options.emulated:
        text += ["**No GPU was here: this is the emulator's run, which shows that the parts fit and nothing of speed.**"
                 if facts else "**No GPU was found.**", ""]
    if facts.get("quick"):
        text += ["A quick run, of small sizes.", ""]
    if whole["left_out"]:
        text += [f"Left out: {', '.join(whole['left_out'])}.", ""]
    text += facts_table(facts) if facts else []
    text += ["## Checks", ""] + table(["part", "result", "time"], lambda part: (
        part["part"], part["result"], f"{part['seconds']} s"), checks)
    for part in checks:
        if part["exit_status"]:
            text += [f"`{part['part']}` ended so:", "", "```text", *part.get("last_lines", []), "```", ""]
    if found["results"]:
        text += ["## Operations: here against the emulator", "",
                 "*Worst* is the largest difference in parts of what the tests allow.", ""]
        text += table(["result", "type", "values", "bit for bit", "worst"], lambda row: (
            row["what"], row["type"], row["values"], row["equal"],
            "beyond all" if row["worst_of_allowed"] is None else f"{row['worst_of_allowed']:.3f}"), found["results"])
    if found["traces"]:
        text += ["## Training: the loss of each step against the CPU's", ""]
        text += table(["devices", "steps", "first loss", "last loss", "largest difference"], lambda row: (
            row["devices"], len(row["losses"]), f"{row['losses'][0]:.6f}", f"{row['losses'][-1]:.6f}",
            f"{row['largest_difference']:.1e}" if "largest_difference" in row else ""), found["traces"])
    if found["kernels"]:
        text += ["## Kernels", ""] + kernel_table(found["kernels"])
    if found["compare"]:
        text += ["## Against PyTorch", "", "Medians over the steps of a second or more; PyTorch with cuDNN's benchmark "
                 "mode and its fused SGD. *Device* is the most that nvidia-smi read during them, less what was held "
                 "before all; *allocated* and *reserved* are what PyTorch's allocator counts of it.", ""]
        text += compare_table(found["compare"])
    if not options.emulated:
        text += ["## Aims", ""] + table(["aim", "measured", "met"], lambda aim: (
            aim["aim"], aim["measured"], {True: "yes", False: "no", None: "not decided"}[aim["met"]]), whole["aims"])
    return "\n".join(text)


def report():
    facts, checks = read("machine") or {}, parts()
    options.emulated, options.cudnn = facts.get("emulated", True), bool(facts.get("cudnn"))
    found = {name: read(name) for name in ["results", "traces", "kernels", "compare"]}
    if found["compare"]:
        done = {called(row) for row in found["compare"]}
        missing = [way for way in sum(plan(), []) if called(way) not in done]
        found["compare"] += [{**way, "skipped": "no time was left"} for way in missing]
    try:
        wanted = aims(found["kernels"] or [], found["compare"] or [])
    except Exception as why:  # the figures are there all the same
        wanted = [{"aim": "all", "measured": f"not to be said: {type(why).__name__}: {why}", "met": None}]
    failed = [part["part"] for part in checks if part["exit_status"]]
    ran = {part["part"] for part in checks}
    left_out = [part for part, last in [("machine", "start"), ("checks", "traces"), ("kernels", "kernels"),
                                        ("compare", "compare")] if last not in ran]
    whole = {"machine": facts, "passed": not failed and not left_out, "failed": failed, "left_out": left_out,
             "emulated": options.emulated, "parts": checks, "aims": wanted, **found}
    (options.out / "acceptance.json").write_text(json.dumps(clean(whole), indent=1, allow_nan=False) + "\n")
    try:
        text = markdown(whole)
    except Exception as why:
        text = f"# Tandem on a GPU\n\nNot to be shown: {type(why).__name__}: {why}. All is in acceptance.json.\n"
    (options.out / "acceptance.md").write_text(text)
    sys.exit(bool(failed))
