//! What a driver refuses, and what it leaves behind.

mod rig;

use std::ffi::{CString, c_void};
use std::ptr::null_mut;

use cuda_emulator::driver::driver;
use cuda_emulator::ffi::{context::*, copy::*, memory::*, module::*, pinned::*, stream::*};
use rig::app::{App, HEAD, error_name, function, increment, launch, module, ok};

#[test]
fn launches_beyond_the_limits() {
    let _app = App::start();
    let nop = function(module(".entry nop() { ret; }"), "nop");
    for (grid, block, shared) in [
        ([1, 1, 1], [1025, 1, 1], 0),
        ([1, 1, 1], [32, 32, 2], 0),
        ([1, 65536, 1], [1, 1, 1], 0),
        ([1, 1, 65536], [1, 1, 1], 0),
        ([1, 1, 1], [1, 1, 65], 0),
        ([1, 0, 1], [1, 1, 1], 0),
        ([1, 1, 1], [1, 0, 1], 0),
        ([1, 1, 1], [1, 1, 1], (48 << 10) + 1),
        ([1, 1, 1], [1, 1, 1], u32::MAX),
        ([u32::MAX, u32::MAX, 1 << 30], [1, 1, 1], 0),
        ([1, 1, 1], [1 << 16, 1 << 16, 1], 0),
        ([1, 1, 1], [1 << 31, 1 << 31, 4], 0),
    ] {
        let status = launch(nop, grid, block, shared, null_mut(), &mut []);
        assert_eq!(
            error_name(status),
            "CUDA_ERROR_INVALID_VALUE",
            "{grid:?} {block:?} {shared}"
        );
    }
}

#[test]
fn static_and_dynamic_shared_memory_together() {
    let _app = App::start();
    let f = function(
        module(".entry k() { .shared .align 4 .b8 s[40960]; st.shared.u32 [s], 1; ret; }"),
        "k",
    );
    ok(launch(f, [1; 3], [1; 3], 8 << 10, null_mut(), &mut []));
    assert_ne!(
        launch(f, [1; 3], [1; 3], 20 << 10, null_mut(), &mut []),
        0,
        "40 KiB static and 20 KiB dynamic without opting in"
    );
    let f = function(
        module(".entry k() { .shared .align 4 .b8 s[61440]; st.shared.u32 [s], 1; ret; }"),
        "k",
    );
    assert_ne!(
        launch(f, [1; 3], [1; 3], 0, null_mut(), &mut []),
        0,
        "60 KiB static: ptxas refuses above 48 KiB"
    );
}

#[test]
fn a_launch_on_a_stream_that_is_gone_or_another_device_s() {
    let app = App::start();
    let f = function(module(".entry nop() { ret; }"), "nop");
    let (mut s, mut other) = (null_mut(), null_mut());
    unsafe {
        ok(cuStreamCreate(&mut s, 0));
        ok(cuStreamDestroy_v2(s));
        app.on(1);
        ok(cuStreamCreate(&mut other, 0));
        app.on(0);
    }
    let dead = launch(f, [1; 3], [1; 3], 0, s, &mut []);
    let foreign = launch(f, [1; 3], [1; 3], 0, other, &mut []);
    unsafe { ok(cuStreamDestroy_v2(other)) };
    assert!(
        dead != 0 && foreign != 0,
        "accepted: dead stream {}, stream of device 1 {}",
        dead == 0,
        foreign == 0
    );
}

#[test]
fn calls_on_a_stream_that_is_gone() {
    let app = App::start();
    let a = app.upload(&[1u32; 4]);
    let mut s = null_mut();
    let host = [0u32; 4];
    unsafe {
        ok(cuStreamCreate(&mut s, 0));
        ok(cuStreamDestroy_v2(s));
        let r = [
            ("copy", cuMemcpyHtoDAsync_v2(a, host.as_ptr().cast(), 16, s)),
            ("memset", cuMemsetD8Async(a, 0, 16, s)),
            ("device copy", cuMemcpyDtoDAsync_v2(a, a + 8, 8, s)),
            ("host func", {
                extern "C" fn nothing(_: *mut c_void) {}
                cuLaunchHostFunc(s, nothing, null_mut())
            }),
            ("free", cuMemFreeAsync(a, s)),
        ];
        if r[4].1 != 0 {
            ok(cuMemFree_v2(a));
        }
        let accepted: Vec<_> = r.iter().filter(|r| r.1 == 0).map(|r| r.0).collect();
        assert!(
            accepted.is_empty(),
            "accepted on a destroyed stream: {accepted:?}"
        );
    }
}

#[test]
fn contexts_are_pushed_and_popped() {
    let app = App::start();
    unsafe {
        ok(cuCtxPushCurrent_v2(app.contexts[1]));
        let mut d = -1;
        ok(cuCtxGetDevice(&mut d));
        assert_eq!(d, 1);
        let mut popped = null_mut();
        ok(cuCtxPopCurrent_v2(&mut popped));
        assert_eq!(popped, app.contexts[1]);
        let status = cuCtxGetDevice(&mut d);
        app.on(0);
        assert_eq!(
            (error_name(status).as_str(), d),
            ("CUDA_SUCCESS", 0),
            "the context below is gone"
        );
    }
}

#[test]
fn memory_freed_twice_or_that_is_none() {
    let app = App::start();
    let a = app.upload(&[1u32; 64]);
    let host = [0u32; 4];
    unsafe {
        assert_ne!(cuMemFree_v2(a + 4), 0);
        ok(cuMemFreeAsync(a, null_mut()));
        assert_ne!(cuMemFree_v2(a), 0);
        assert_ne!(cuMemFree_v2(host.as_ptr() as u64), 0);
        assert_ne!(cuMemFreeHost(host.as_ptr() as *mut c_void), 0);
    }
    let f = increment();
    assert_ne!(
        launch(f, [1; 3], [1; 3], 0, null_mut(), &mut [a]),
        0,
        "used after a free"
    );
}

#[test]
fn copies_that_run_over() {
    let app = App::start();
    let (a, b) = (app.upload(&[1u8; 10]), app.upload(&[1u8; 10]));
    let host = [0u8; 600];
    unsafe {
        for s in [
            cuMemcpyHtoD_v2(a, host.as_ptr().cast(), 11),
            cuMemcpyDtoD_v2(a, b, 11),
            cuMemsetD8_v2(a, 0, 11),
            cuMemsetD32_v2(a, 0, 3),
            cuMemcpyDtoD_v2(a + 5, b, 6),
            cuMemcpyHtoD_v2(a, host.as_ptr().cast(), 600),
        ] {
            assert_ne!(s, 0);
        }
        // A pattern of two or four bytes needs an aligned address.
        let odd = cuMemsetD32_v2(a + 1, 0, 1);
        ok(cuMemFree_v2(a));
        ok(cuMemFree_v2(b));
        assert_ne!(odd, 0, "cuMemsetD32 at an odd address");
    }
}

#[test]
fn a_module_that_is_refused_leaves_nothing() {
    let _app = App::start();
    let text = CString::new(format!(
        "{HEAD}.global .align 4 .b8 g[4096];\n.entry k() {{ frobnicate; }}"
    ))
    .unwrap();
    let before = driver().memory_info(0);
    let mut m = null_mut();
    unsafe { assert_ne!(cuModuleLoadData(&mut m, text.as_ptr().cast()), 0) };
    assert_eq!(
        driver().memory_info(0),
        before,
        "the variables of a refused module stay allocated"
    );
    assert_eq!(driver().leaks(0), vec![]);
}

#[test]
fn too_much_memory() {
    let _app = App::start();
    let (mut a, mut b) = (0, 0);
    unsafe {
        assert_eq!(
            error_name(cuMemAlloc_v2(&mut a, usize::MAX)),
            "CUDA_ERROR_OUT_OF_MEMORY"
        );
        assert_eq!(
            error_name(cuMemAlloc_v2(&mut a, 0)),
            "CUDA_ERROR_INVALID_VALUE"
        );
        ok(cuMemAlloc_v2(&mut a, 6 << 30));
        assert_eq!(
            error_name(cuMemAlloc_v2(&mut b, 3 << 30)),
            "CUDA_ERROR_OUT_OF_MEMORY"
        );
        ok(cuMemFree_v2(a));
    }
}

#[test]
fn what_was_written_is_known_by_the_byte() {
    let _app = App::start();
    let read = function(
        module(
            ".entry k(.param .u64 p) { .reg .b32 %r<4>; .reg .b64 %rd<4>; ld.param.u64 %rd1,[p]; mov.u32 %r1,%tid.x; mul.wide.u32 %rd2,%r1,4; add.s64 %rd1,%rd1,%rd2; ld.global.u32 %r2,[%rd1]; ret; }",
        ),
        "k",
    );
    let (mut a, mut b) = (0, 0);
    unsafe {
        ok(cuMemAlloc_v2(&mut a, 128));
        ok(cuMemAllocAsync(&mut b, 128, null_mut()));
        assert_ne!(
            launch(read, [1; 3], [1, 1, 1], 0, null_mut(), &mut [a]),
            0,
            "nothing written"
        );
        ok(cuMemsetD8_v2(a, 0, 127));
        assert_eq!(
            launch(read, [1; 3], [31, 1, 1], 0, null_mut(), &mut [a]),
            0,
            "the written part"
        );
        assert_ne!(
            launch(read, [1; 3], [32, 1, 1], 0, null_mut(), &mut [a]),
            0,
            "the last word lacks a byte"
        );
        ok(cuMemcpyDtoDAsync_v2(b, a, 128, null_mut()));
        assert_eq!(
            launch(read, [1; 3], [31, 1, 1], 0, null_mut(), &mut [b]),
            0,
            "copied, the written part"
        );
        assert_ne!(
            launch(read, [1; 3], [32, 1, 1], 0, null_mut(), &mut [b]),
            0,
            "copied, the rest"
        );
        ok(cuMemcpyHtoD_v2(b + 127, (&raw const a).cast(), 1));
        assert_eq!(
            launch(read, [1; 3], [32, 1, 1], 0, null_mut(), &mut [b]),
            0,
            "now all"
        );
        ok(cuMemFree_v2(a));
        ok(cuMemFreeAsync(b, null_mut()));
    }
}
