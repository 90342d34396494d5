#!/usr/bin/env python3
"""Compiles every kernel with NVRTC, as Tandem does at run time; a warning is a failure.

Needs libnvrtc where the loader looks (`eval "$(scripts/cuda-toolkit.sh)"`) and no GPU. With
`--ptx FOLDER` the PTX is kept there.
"""

import ctypes
import pathlib
import sys

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


def main():
    keep = None
    if sys.argv[1:2] == ["--ptx"]:
        keep = pathlib.Path(sys.argv[2])
        keep.mkdir(parents=True, exist_ok=True)
    nvrtc = library()
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
            entries = ptx.count(".entry")
            print(f"{file.name} for {architecture}: {entries} kernels, {len(ptx)} bytes of PTX")
            if keep:
                (keep / f"{file.stem}.{architecture}.ptx").write_text(ptx)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
