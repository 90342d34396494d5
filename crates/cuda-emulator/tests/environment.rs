//! What the environment asks for, which a process reads once: each test runs in a process of its own.

mod rig;

use std::ffi::CString;
use std::process::Command;
use std::ptr::null_mut;

use cuda_emulator::ffi::{
    blas::*, context::*, copy::*, device::*, memory::*, module::*, pinned::*, random::*, stream::*,
};
use rig::app::{App, error_name, function, launch, module, ok};

/// Runs `body` in a process of its own, which is started with the variable and runs `test` again.
fn in_environment(test: &str, variable: &str, value: &str, body: fn()) {
    if std::env::var_os("CUDA_EMULATOR_TEST_STARTED").is_some() {
        return body();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("CUDA_EMULATOR_TEST_STARTED", "")
        .env(variable, value)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let ran = text(&output.stdout);
    assert!(ran.contains("1 passed"), "{ran}");
}

#[test]
fn the_trace_says_who_launches_copies_and_waits() {
    let path = std::env::temp_dir().join(format!("cuda-emulator-trace-{}", std::process::id()));
    let trace = path.to_str().unwrap();
    in_environment(
        "the_trace_says_who_launches_copies_and_waits",
        "CUDA_EMULATOR_TRACE",
        trace,
        the_trace,
    );
    std::fs::remove_file(path).unwrap_or_default();
}

fn the_trace() {
    let path = std::env::var_os("CUDA_EMULATOR_TRACE").unwrap();
    let app = App::start();
    let function = app.kernel("vector_add", "vector_add");
    let mut seen = 0;
    let mut since = |what: &str, expected: &[&str]| {
        let all = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = all.lines().skip(seen).collect();
        assert_eq!(lines, expected, "{what}");
        seen += lines.len();
    };
    since("loading a module", &[]);

    let a = app.upload(&[1f32; 4]);
    since(
        "a synchronous copy",
        &[
            "allocate 0 16",
            "copy_to_device 0 16",
            "synchronize 0",
            "synchronize 0",
        ],
    );
    ok(app.launch(function, 1, 32, &mut [a, a, a, 4]));
    since("a launch", &["launch 0 vector_add"]);
    unsafe { ok(cuCtxSynchronize()) };
    since("waiting for it", &["synchronize 0"]);

    let (mut stream, mut event, mut blas, mut random) =
        (null_mut(), null_mut(), null_mut(), null_mut());
    let (mut b, mut pinned, mut plain) = (0, null_mut(), [0f32; 4]);
    app.on(1);
    unsafe {
        ok(cuStreamCreate(&mut stream, 1));
        ok(cuEventCreate(&mut event, 0));
        ok(cuMemHostAlloc(&mut pinned, 16, 0));
        ok(cublasCreate_v2(&mut blas));
        ok(curandCreateGenerator(&mut random, 100));
        since("making things", &[]);

        ok(cuMemAllocAsync(&mut b, 16, stream));
        let (from, to) = (app.contexts[0], app.contexts[1]);
        ok(cuMemcpyPeerAsync(b, to, a, from, 16, stream));
        ok(cuMemcpyDtoDAsync_v2(b + 8, b, 8, stream));
        ok(cuMemsetD32Async(b, 0, 2, stream));
        since(
            "copies between and within devices",
            &["allocate 1 16", "copy_peer 0 1 16", "copy 1 8", "set 1 8"],
        );
        ok(cuMemcpyDtoHAsync_v2(pinned.byte_add(8), b, 8, stream));
        since("a copy to pinned memory", &["copy_to_host 1 8"]);
        ok(cuMemcpyHtoDAsync_v2(b, pinned.byte_add(8), 8, stream));
        since("a copy from pinned memory", &["copy_to_device 1 8"]);
        let memory = plain.as_mut_ptr().cast();
        ok(cuMemcpyHtoDAsync_v2(b, memory, 16, stream));
        since(
            "a copy from memory that is not pinned",
            &["copy_to_device 1 16", "synchronize 1"],
        );
        ok(cuMemcpyDtoHAsync_v2(memory, b, 16, stream));
        since(
            "a copy to memory that is not pinned",
            &["copy_to_host 1 16", "synchronize 1"],
        );

        ok(cuEventSynchronize(event));
        since("waiting for an event that was never recorded", &[]);
        ok(cuEventRecord(event, stream));
        app.on(0);
        ok(cuStreamWaitEvent(null_mut(), event, 0));
        ok(cuEventQuery(event));
        ok(cuEventSynchronize(event));
        ok(cuStreamSynchronize(stream));
        ok(cuCtxSynchronize());
        since(
            "waits",
            &[
                "record 1",
                "wait 0",
                "synchronize 1",
                "synchronize 1",
                "synchronize 0",
            ],
        );

        let (one, zero) = (1f32, 0f32);
        app.on(1);
        ok(cublasSetStream_v2(blas, stream));
        ok(curandSetStream(random, stream));
        ok(cublasSgemm_v2(
            blas,
            0,
            0,
            2,
            1,
            1,
            &one,
            b,
            2,
            b + 4,
            1,
            &zero,
            b + 8,
            2,
        ));
        ok(curandGenerateUniform(random, b, 4));
        since(
            "libraries",
            &["product 1 2 1 1 1", "launch 1 curandGenerateUniform"],
        );

        ok(cuMemFreeAsync(b, stream));
        ok(cuMemFree_v2(a));
        since("freeing", &["free 1", "free 0", "synchronize 0"]);
        ok(cuMemFreeHost(pinned));
    }
}

#[test]
fn no_device_is_said_when_the_driver_starts() {
    in_environment(
        "no_device_is_said_when_the_driver_starts",
        "CUDA_EMULATOR_DEVICES",
        "0",
        || unsafe {
            assert_eq!(error_name(cuInit(0)), "CUDA_ERROR_NO_DEVICE");
            let mut count = -1;
            ok(cuDeviceGetCount(&mut count));
            assert_eq!(count, 0);
        },
    );
}

#[test]
fn a_driver_older_than_the_compiler_refuses_its_ptx() {
    in_environment(
        "a_driver_older_than_the_compiler_refuses_its_ptx",
        "CUDA_EMULATOR_FAULTS",
        "driver:12040",
        || {
            let _app = App::start();
            let load = |version: &str| {
                let text = format!(".version {version}\n.target sm_80\n.address_size 64\n");
                let (text, mut module) = (CString::new(text).unwrap(), null_mut());
                error_name(unsafe { cuModuleLoadData(&mut module, text.as_ptr().cast()) })
            };
            let mut version = 0;
            unsafe { ok(cuDriverGetVersion(&mut version)) };
            assert_eq!(version, 12040);
            assert_eq!(load("8.4"), "CUDA_SUCCESS");
            assert_eq!(load("8.5"), "CUDA_ERROR_UNSUPPORTED_PTX_VERSION");
            assert_eq!(load("9.0"), "CUDA_ERROR_UNSUPPORTED_PTX_VERSION");
        },
    );
}

/// Copies three numbers from device 0 to device 1, and what arrived.
fn across(app: &App) -> (String, Vec<f32>) {
    let from = app.upload(&[1f32, 2.0, 3.0]);
    app.on(1);
    let to = app.upload(&[7f32; 3]);
    let [source, target] = app.contexts;
    let status = unsafe { cuMemcpyPeerAsync(to, target, from, source, 12, null_mut()) };
    (error_name(status), app.download(to, 3).unwrap())
}

#[test]
fn peer_copies_and_peer_access_are_refused() {
    in_environment(
        "peer_copies_and_peer_access_are_refused",
        "CUDA_EMULATOR_FAULTS",
        "peer",
        || {
            let app = App::start();
            let mut can = -1;
            unsafe {
                ok(cuDeviceCanAccessPeer(&mut can, 0, 1));
                let status = cuCtxEnablePeerAccess(app.contexts[1], 0);
                assert_eq!(error_name(status), "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED");
            }
            assert_eq!(can, 0);
            let (status, arrived) = across(&app);
            assert_eq!(status, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED");
            assert_eq!(arrived, [7.0; 3]);
        },
    );
}

#[test]
fn peer_copies_arrive_wrong_without_a_word() {
    in_environment(
        "peer_copies_arrive_wrong_without_a_word",
        "CUDA_EMULATOR_FAULTS",
        "peer-corrupt",
        || {
            let app = App::start();
            assert_eq!(across(&app), ("CUDA_SUCCESS".to_owned(), vec![0.0; 3]));
        },
    );
}

#[test]
fn a_lost_device_fails_every_call_and_the_other_goes_on() {
    in_environment(
        "a_lost_device_fails_every_call_and_the_other_goes_on",
        "CUDA_EMULATOR_FAULTS",
        "lost:2",
        || {
            let app = App::start();
            let (a, function) = (
                app.upload(&[1f32; 4]),
                app.kernel("vector_add", "vector_add"),
            );
            for _ in 0..2 {
                ok(app.launch(function, 1, 32, &mut [a, a, a, 4]));
            }
            let lost = "CUDA_ERROR_UNKNOWN";
            let mut b = 0;
            assert_eq!(
                error_name(app.launch(function, 1, 32, &mut [a, a, a, 4])),
                lost
            );
            assert_eq!(app.download::<f32>(a, 4), Err(lost.to_owned()));
            unsafe {
                assert_eq!(error_name(cuMemAlloc_v2(&mut b, 16)), lost);
                assert_eq!(error_name(cuCtxSynchronize()), lost);
                assert_eq!(error_name(cuStreamSynchronize(null_mut())), lost);
                assert_eq!(error_name(cuMemFree_v2(a)), lost);
            }
            app.on(1);
            let (a, function) = (
                app.upload(&[1f32; 4]),
                app.kernel("vector_add", "vector_add"),
            );
            ok(app.launch(function, 1, 32, &mut [a, a, a, 4]));
            assert_eq!(app.download(a, 4), Ok(vec![2f32; 4]));
        },
    );
}

#[test]
fn a_kernel_that_does_not_end_is_stopped() {
    in_environment(
        "a_kernel_that_does_not_end_is_stopped",
        "CUDA_EMULATOR_BUDGET",
        "100000",
        || {
            let _app = App::start();
            let endless = function(module(".entry k() { $l: bra $l; ret; }"), "k");
            let status = launch(endless, [1; 3], [32, 1, 1], 0, null_mut(), &mut []);
            assert_eq!(error_name(status), "CUDA_ERROR_LAUNCH_TIMEOUT");
        },
    );
}
