//! The C functions, called as an application calls them, on two devices.

mod rig;

use std::ptr::null_mut;

use cuda_emulator::driver::driver;
use cuda_emulator::ffi::{
    blas::*, context::*, copy::*, device::*, memory::*, module::*, random::*, stream::*,
};
use rig::app::{App, error_name, ok};

#[test]
fn an_application_adds_two_vectors() {
    let app = App::start();
    let (a, b, out) = (
        app.upload(&[1f32, 2.0, 3.0]),
        app.upload(&[10f32, 20.0, 30.0]),
        app.upload(&[0f32; 3]),
    );
    let function = app.kernel("vector_add", "vector_add");
    ok(app.launch(function, 1, 32, &mut [a, b, out, 3]));
    assert_eq!(app.download::<f32>(out, 3), Ok(vec![11.0, 22.0, 33.0]));
    for address in [a, b, out] {
        unsafe { ok(cuMemFree_v2(address)) };
    }
}

#[test]
fn a_fault_in_a_kernel_is_the_status_a_gpu_gives() {
    let app = App::start();
    let a = app.upload(&[1f32; 4]);
    let function = app.kernel("vector_add", "vector_add");
    let status = app.launch(function, 1, 32, &mut [a, a, a, 5]);
    assert_eq!(error_name(status), "CUDA_ERROR_ILLEGAL_ADDRESS");
    unsafe { ok(cuMemFree_v2(a)) };
}

#[test]
fn a_device_cannot_touch_the_other_s_memory_but_copies_between_them_work() {
    let app = App::start();
    let here = app.upload(&[1f32, 2.0, 3.0]);
    app.on(1);
    let function = app.kernel("vector_add", "vector_add");
    let there = app.upload(&[0f32; 3]);
    assert_eq!(
        error_name(app.launch(function, 1, 32, &mut [here, here, there, 3])),
        "CUDA_ERROR_ILLEGAL_ADDRESS"
    );
    unsafe {
        let (from, to) = (app.contexts[0], app.contexts[1]);
        ok(cuMemcpyPeerAsync(there, to, here, from, 12, null_mut()));
    }
    assert_eq!(app.download::<f32>(there, 3), Ok(vec![1.0, 2.0, 3.0]));
    unsafe {
        ok(cuMemFree_v2(here));
        ok(cuMemFree_v2(there));
    }
}

#[test]
fn peer_access_is_enabled_once() {
    let app = App::start();
    let mut can = [-1, -1];
    unsafe {
        ok(cuDeviceCanAccessPeer(&mut can[0], 0, 1));
        ok(cuDeviceCanAccessPeer(&mut can[1], 1, 1));
        assert_eq!(can, [1, 0]);
        ok(cuCtxEnablePeerAccess(app.contexts[1], 0));
        let again = cuCtxEnablePeerAccess(app.contexts[1], 0);
        assert_eq!(error_name(again), "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED");
        ok(cuCtxDisablePeerAccess(app.contexts[1]));
        let again = cuCtxDisablePeerAccess(app.contexts[1]);
        assert_eq!(error_name(again), "CUDA_ERROR_PEER_ACCESS_NOT_ENABLED");
    }
}

#[test]
fn memory_never_written_cannot_be_copied_to_the_host_or_hidden_by_a_copy() {
    let app = App::start();
    let (mut a, mut b) = (0, 0);
    unsafe {
        ok(cuMemAllocAsync(&mut a, 16, null_mut()));
        ok(cuMemAllocAsync(&mut b, 16, null_mut()));
        ok(cuMemsetD8Async(a, 7, 8, null_mut()));
        ok(cuMemcpyDtoDAsync_v2(b, a, 16, null_mut()));
    }
    assert_eq!(app.download::<u8>(b, 8), Ok(vec![7; 8]));
    assert_eq!(
        app.download::<u8>(b, 9),
        Err("CUDA_ERROR_ILLEGAL_ADDRESS".into())
    );
    unsafe {
        ok(cuMemFreeAsync(a, null_mut()));
        ok(cuMemFreeAsync(b, null_mut()));
        assert_eq!(
            error_name(cuMemFree_v2(b)),
            "CUDA_ERROR_INVALID_VALUE",
            "freed twice"
        );
    }
    assert_eq!(
        app.download::<u8>(a, 1),
        Err("CUDA_ERROR_INVALID_VALUE".into()),
        "used after free"
    );
}

#[test]
fn what_is_not_freed_is_a_leak() {
    let app = App::start();
    let a = app.upload(&[1f32; 25]);
    // A module's own variables are no leak.
    app.kernel("vector_add", "vector_add");
    assert_eq!(driver().leaks(0), vec![(a, 100)]);
    unsafe { ok(cuMemFree_v2(a)) };
    assert_eq!(driver().leaks(0), vec![]);
}

#[test]
fn memory_runs_out_and_is_accounted_for() {
    let app = App::start();
    let (mut free, mut total, mut address) = (0, 0, 0);
    unsafe {
        ok(cuMemGetInfo_v2(&mut free, &mut total));
        assert_eq!((free, total), (8 << 30, 8 << 30));
        assert_eq!(
            error_name(cuMemAlloc_v2(&mut address, total + 1)),
            "CUDA_ERROR_OUT_OF_MEMORY"
        );
        ok(cuMemAlloc_v2(&mut address, 4096));
        ok(cuMemGetInfo_v2(&mut free, &mut total));
        assert_eq!(free, total - 4096);
        ok(cuMemFree_v2(address));
    }
    drop(app);
}

#[test]
fn launches_that_a_gpu_refuses_are_refused() {
    let app = App::start();
    let function = app.kernel("collatz", "collatz");
    assert_eq!(
        error_name(app.launch(function, 1, 1025, &mut [0])),
        "CUDA_ERROR_INVALID_VALUE"
    );
    assert_eq!(
        error_name(app.launch(function, 0, 32, &mut [0])),
        "CUDA_ERROR_INVALID_VALUE"
    );
    unsafe {
        let mut module = null_mut();
        let bad = c".entry k() { frobnicate.b32 %r1; }";
        assert_eq!(
            error_name(cuModuleLoadData(&mut module, bad.as_ptr().cast())),
            "CUDA_ERROR_INVALID_PTX"
        );
        let machine_code = [0x7fu8, b'E', b'L', b'F', 0];
        let status = cuModuleLoadData(&mut module, machine_code.as_ptr().cast());
        assert_eq!(error_name(status), "CUDA_ERROR_NO_BINARY_FOR_GPU");
    }
}

#[test]
fn events_and_streams_keep_order_and_refuse_dead_handles() {
    let _app = App::start();
    let (mut stream, mut start, mut end) = (null_mut(), null_mut(), null_mut());
    let mut milliseconds = -1.0;
    unsafe {
        ok(cuStreamCreate(&mut stream, 1));
        ok(cuEventCreate(&mut start, 0));
        ok(cuEventCreate(&mut end, 0));
        ok(cuEventRecord(start, stream));
        ok(cuEventRecord(end, stream));
        ok(cuStreamWaitEvent(stream, end, 0));
        ok(cuEventElapsedTime_v2(&mut milliseconds, start, end));
        assert!(milliseconds >= 0.0);
        ok(cuStreamSynchronize(stream));
        ok(cuEventDestroy_v2(start));
        assert_eq!(
            error_name(cuEventRecord(start, stream)),
            "CUDA_ERROR_INVALID_HANDLE"
        );
        ok(cuStreamDestroy_v2(stream));
        assert_eq!(
            error_name(cuStreamSynchronize(stream)),
            "CUDA_ERROR_INVALID_HANDLE"
        );
    }
}

#[test]
fn products_take_every_transposition_and_read_c_only_when_asked() {
    let app = App::start();
    let mut blas = null_mut();
    unsafe { ok(cublasCreate_v2(&mut blas)) };
    // Column-major: a is 2×3, b is 3×2.
    let (a, b) = (
        [1f32, 2.0, 3.0, 4.0, 5.0, 6.0],
        [7f32, 8.0, 9.0, 10.0, 11.0, 12.0],
    );
    let (a_turned, b_turned) = (
        [1f32, 3.0, 5.0, 2.0, 4.0, 6.0],
        [7f32, 10.0, 8.0, 11.0, 9.0, 12.0],
    );
    let expected = vec![76f32, 100.0, 103.0, 136.0];
    for (a_transposed, b_transposed) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let left = app.upload(if a_transposed == 1 { &a_turned } else { &a });
        let right = app.upload(if b_transposed == 1 { &b_turned } else { &b });
        let (lda, ldb) = (
            if a_transposed == 1 { 3 } else { 2 },
            if b_transposed == 1 { 2 } else { 3 },
        );
        let mut out = 0;
        let (one, zero) = (1f32, 0f32);
        unsafe {
            // Never written: with β = 0 it must not be read.
            ok(cuMemAlloc_v2(&mut out, 16));
            let status = cublasSgemm_v2(
                blas,
                a_transposed,
                b_transposed,
                2,
                2,
                3,
                &one,
                left,
                lda,
                right,
                ldb,
                &zero,
                out,
                2,
            );
            assert_eq!(status, 0);
            assert_eq!(app.download::<f32>(out, 4), Ok(expected.clone()));
            let status = cublasSgemm_v2(
                blas,
                a_transposed,
                b_transposed,
                2,
                2,
                3,
                &one,
                left,
                lda,
                right,
                ldb,
                &one,
                out,
                2,
            );
            assert_eq!(status, 0);
            assert_eq!(
                app.download::<f32>(out, 4),
                Ok(expected.iter().map(|v| 2.0 * v).collect())
            );
            for address in [left, right, out] {
                ok(cuMemFree_v2(address));
            }
        }
    }
}

#[test]
fn batched_products_of_halves_accumulate_in_f32() {
    let app = App::start();
    let mut blas = null_mut();
    unsafe { ok(cublasCreate_v2(&mut blas)) };
    let k = 4096;
    // The sum of 4096 ones and 0.5s: f16 accumulation would stop at 2048.
    let half = |v: f32| half::f16::from_f32(v).to_bits();
    let a: Vec<u16> = [vec![half(1.0); k], vec![half(0.5); k]].concat();
    let b = vec![half(1.0); 2 * k];
    let (a, b, out) = (app.upload(&a), app.upload(&b), app.upload(&[0u16; 2]));
    let (one, zero) = (1f32, 0f32);
    let (k32, k64) = (k as i32, k as i64);
    let status = unsafe {
        cublasGemmStridedBatchedEx(
            blas,
            1,
            0,
            1,
            1,
            k32,
            (&raw const one).cast(),
            a,
            2,
            k32,
            k64,
            b,
            2,
            k32,
            k64,
            (&raw const zero).cast(),
            out,
            2,
            1,
            1,
            2,
            68,
            99,
        )
    };
    assert_eq!(status, 0);
    assert_eq!(
        app.download::<u16>(out, 2),
        Ok(vec![half(4096.0), half(2048.0)])
    );
    for address in [a, b, out] {
        unsafe { ok(cuMemFree_v2(address)) };
    }
}

#[test]
fn random_numbers_repeat_with_their_seed_and_have_the_right_shape() {
    let app = App::start();
    let out = app.upload(&[0f32; 4096]);
    let mut generator = null_mut();
    unsafe { ok(curandCreateGenerator(&mut generator, 100)) };
    let draw = |seed| {
        curandSetPseudoRandomGeneratorSeed(generator, seed);
        assert_eq!(curandGenerateUniform(generator, out, 4096), 0);
        app.download::<f32>(out, 4096).unwrap()
    };
    let first = draw(1);
    assert_eq!(first, draw(1));
    assert_ne!(first, draw(2));
    assert!(first.iter().all(|v| *v > 0.0 && *v <= 1.0));
    assert_eq!(curandGenerateNormal(generator, out, 4096, 3.0, 2.0), 0);
    let normal = app.download::<f32>(out, 4096).unwrap();
    let mean = normal.iter().sum::<f32>() / 4096.0;
    let deviation = (normal.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 4096.0).sqrt();
    assert!(
        (mean - 3.0).abs() < 0.15 && (deviation - 2.0).abs() < 0.1,
        "{mean} {deviation}"
    );
    assert_eq!(
        curandGenerateNormal(generator, out, 4095, 0.0, 1.0),
        105,
        "an odd count is refused"
    );
    unsafe { ok(cuMemFree_v2(out)) };
}

#[test]
fn functions_say_what_they_are() {
    let _app = App::start();
    let (mut count, mut major, mut pools) = (0, 0, 0);
    unsafe {
        ok(cuDeviceGetCount(&mut count));
        ok(cuDeviceGetAttribute(&mut major, 75, 0));
        ok(cuDeviceGetAttribute(&mut pools, 115, 1));
        assert_eq!((count, major, pools), (2, 9, 1));
        assert_eq!(
            error_name(cuDeviceGet(&mut count, 2)),
            "CUDA_ERROR_INVALID_DEVICE"
        );
    }
}
