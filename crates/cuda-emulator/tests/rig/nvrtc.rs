//! Tandem's own kernels, compiled by NVRTC after an edit.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

use libloading::{Library, Symbol};

/// A textual edit: what stands in the source once, and what takes its place.
pub type Edit = (&'static str, &'static str);

/// PTX of `kernels/NAME.cu`, edited, for 32-bit floats only. `append` is put after it.
pub fn kernel(name: &str, edits: &[Edit], append: &str) -> String {
    let source = |file: &str| {
        let path = format!("{}/../../kernels/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let (mut prelude, mut text) = (source("prelude.cuh"), source(&format!("{name}.cu")));
    replace_once(&mut prelude, (" M(f16, f16) M(bf16, bf16)", ""));
    for edit in edits {
        replace_once(&mut text, *edit);
    }
    compile(&format!("{prelude}{text}{append}"), &[])
}

fn replace_once(text: &mut String, (from, to): Edit) {
    let count = text.matches(from).count();
    assert_eq!(count, 1, "an edit needs its text once: {from}");
    *text = text.replace(from, to);
}

/// CUDA C++ to PTX for compute capability 8.0, with the toolkit's headers.
pub fn compile(source: &str, options: &[&str]) -> String {
    type Program = *mut c_void;
    type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
    type Text = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
    type Create = unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int;
    type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
    type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;

    // SAFETY: NVRTC's functions have these types (nvrtc.h), and get pointers that live as long as each call.
    unsafe {
        let nvrtc = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"]
            .iter()
            .find_map(|name| Library::new(*name).ok())
            .expect("libnvrtc is not where the loader looks: run scripts/test-cuda-emulated.sh");
        let text = |program, size: &[u8], get: &[u8]| {
            let size: Symbol<Size> = nvrtc.get(size).unwrap();
            let get: Symbol<Text> = nvrtc.get(get).unwrap();
            let mut bytes = 0;
            assert_eq!(size(program, &mut bytes), 0);
            let mut buffer = vec![0u8; bytes.max(1)];
            assert_eq!(get(program, buffer.as_mut_ptr().cast()), 0);
            let text = CStr::from_bytes_until_nul(&buffer).unwrap();
            text.to_str().unwrap().to_owned()
        };
        let create: Symbol<Create> = nvrtc.get(b"nvrtcCreateProgram").unwrap();
        let compile: Symbol<Compile> = nvrtc.get(b"nvrtcCompileProgram").unwrap();
        let destroy: Symbol<Destroy> = nvrtc.get(b"nvrtcDestroyProgram").unwrap();
        let (source, mut program) = (CString::new(source).unwrap(), null_mut());
        let name = c"kernel.cu".as_ptr();
        let created = create(&mut program, source.as_ptr(), name, 0, null(), null());
        assert_eq!(created, 0);
        let home = std::env::var("CUDA_HOME").unwrap_or_else(|_| {
            let root = env!("CARGO_MANIFEST_DIR");
            format!("{root}/../../target/cuda-toolkit/nvidia/cu13")
        });
        let options: Vec<CString> = ["--gpu-architecture=compute_80", "--std=c++17"]
            .iter()
            .chain(options)
            .map(|option| option.to_string())
            .chain(["", "/cccl"].map(|part| format!("--include-path={home}/include{part}")))
            .map(|option| CString::new(option).unwrap())
            .collect();
        let options: Vec<_> = options.iter().map(|option| option.as_ptr()).collect();
        let status = compile(program, options.len() as c_int, options.as_ptr());
        let log = text(program, b"nvrtcGetProgramLogSize", b"nvrtcGetProgramLog");
        assert_eq!(status, 0, "{log}");
        let ptx = text(program, b"nvrtcGetPTXSize", b"nvrtcGetPTX");
        destroy(&mut program);
        ptx
    }
}
