#!/usr/bin/env python3
"""Compiles every kernel with NVRTC, as Tandem does at run time; a warning is a failure.

Where ptxas is on PATH it makes machine code of the PTX, as a driver does, and a kernel that does not
fit in registers is a failure too: one that spills, or keeps an array in local memory.

Needs libnvrtc where the loader looks (`eval "$(scripts/cuda-toolkit.sh)"`) and no GPU. With
`--ptx FOLDER` the PTX is kept there.
"""

import ctypes
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ARCHITECTURES = ["compute_80", "compute_90"]
KERNELS = pathlib.Path(__file__).resolve().parent.parent / "kernels"


def library():
    for name in ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    sys.exit('libnvrtc is not found: run eval "$(scripts/cuda-toolkit.sh)" first')


def text(nvrtc, program, what):
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.value.decode()


def compile_one(nvrtc, source, name, architecture):
    """The PTX, or None, and the compiler's log."""
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), name.encode(), 0, None, None
    )
    options = [f"--gpu-architecture={architecture}", "--std=c++17"]
    array = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    failed = nvrtc.nvrtcCompileProgram(program, len(options), array)
    log = text(nvrtc, program, "ProgramLog").strip()
    ptx = None if failed else text(nvrtc, program, "PTX")
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx, log


FRAME = re.compile(
    r"Function properties for (\w+)\n\s*(\d+) bytes stack frame, "
    r"(\d+) bytes spill stores, (\d+) bytes spill loads"
)


def beyond_registers(ptxas, ptx, architecture):
    """What kernels keep in local memory, a line each; or ptxas's own words where it fails."""
    target = architecture.replace("compute", "sm")
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        command = [ptxas, f"-arch={target}", "-v", file.name, "-o", "/dev/null"]
        done = subprocess.run(command, capture_output=True, text=True)
    said = done.stderr + done.stdout
    frames = FRAME.findall(said)
    if done.returncode or len(frames) != ptx.count(".entry"):
        return [said.strip()]
    return [
        f"{kernel}: {stack} bytes of stack, {stores} and {loads} of spills"
        for kernel, stack, stores, loads in frames
        if (stack, stores, loads) != ("0", "0", "0")
    ]


def main():
    keep = None
    if sys.argv[1:2] == ["--ptx"]:
        keep = pathlib.Path(sys.argv[2])
        keep.mkdir(parents=True, exist_ok=True)
    nvrtc = library()
    ptxas = shutil.which("ptxas")
    if ptxas is None:
        print("ptxas is not found: spills are not looked for", file=sys.stderr)
    prelude = (KERNELS / "prelude.cuh").read_text()
    bad = 0
    for file in sorted(KERNELS.glob("*.cu")):
        source = f'#line 1 "prelude.cuh"\n{prelude}#line 1 "{file.name}"\n{file.read_text()}'
        for architecture in ARCHITECTURES:
            ptx, log = compile_one(nvrtc, source, file.name, architecture)
            if ptx is None or log:
                bad += 1
                print(f"{file.name} for {architecture}:\n{log}", file=sys.stderr)
                continue
            if ptxas:
                found = beyond_registers(ptxas, ptx, architecture)
                if found:
                    bad += 1
                    print(f"{file.name} for {architecture}:", *found, sep="\n", file=sys.stderr)
            entries = ptx.count(".entry")
            print(f"{file.name} for {architecture}: {entries} kernels, {len(ptx)} bytes of PTX")
            if keep:
                (keep / f"{file.stem}.{architecture}.ptx").write_text(ptx)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
