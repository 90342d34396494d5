//! Streams in no order: what a GPU would do at the same time, on the same memory, is reported.

mod rig;

use std::ptr::null_mut;

use cuda_emulator::ffi::{Handle, blas::*, copy::*, memory::*, pinned::*, random::*, stream::*};
use rig::app::{App, error_name, ok};

const IN_NO_ORDER: &str = "CUDA_ERROR_LAUNCH_FAILED";
/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;

fn stream(flags: u32) -> Handle {
    let mut stream = null_mut();
    unsafe { ok(cuStreamCreate(&mut stream, flags)) };
    stream
}

fn event() -> Handle {
    let mut event = null_mut();
    unsafe { ok(cuEventCreate(&mut event, 0)) };
    event
}

/// Makes `later` wait for what `earlier` has been asked for.
fn join(later: Handle, earlier: Handle, event: Handle) {
    unsafe {
        ok(cuEventRecord(event, earlier));
        ok(cuStreamWaitEvent(later, event, 0));
    }
}

fn pinned(values: &[f32]) -> &'static mut [f32] {
    let mut memory = null_mut();
    unsafe {
        ok(cuMemHostAlloc(&mut memory, size_of_val(values), 0));
        let memory = std::slice::from_raw_parts_mut(memory.cast(), values.len());
        memory.copy_from_slice(values);
        memory
    }
}

#[test]
fn two_streams_that_use_the_same_memory_need_an_event() {
    let app = App::start();
    let function = app.kernel("vector_add", "vector_add");
    let [a, b, c] = [[1f32; 4], [0.0; 4], [0.0; 4]].map(|values| app.upload(&values));
    let (first, second) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    let add = |stream, from: u64, to: u64| {
        app.launch_on(stream, function, 1, 32, &mut [from, from, to, 4])
    };
    // Both read `a`, which is no matter.
    ok(add(first, a, b));
    ok(add(second, a, c));
    // Read after write, write after write, write after read.
    assert_eq!(error_name(add(second, b, c)), IN_NO_ORDER);
    assert_eq!(error_name(add(second, a, b)), IN_NO_ORDER);
    assert_eq!(error_name(add(second, c, a)), IN_NO_ORDER);

    join(second, first, event());
    ok(add(second, b, c));
    assert_eq!(error_name(add(first, a, b)), IN_NO_ORDER, "the other way");
    unsafe { ok(cuStreamSynchronize(second)) };
    ok(add(first, a, b));
    for address in [a, b, c] {
        unsafe { ok(cuMemFree_v2(address)) };
    }
}

#[test]
fn an_event_stands_for_what_was_asked_before_it_was_recorded() {
    let app = App::start();
    let a = app.upload(&[1f32; 4]);
    let (first, second, third) = (
        stream(NON_BLOCKING),
        stream(NON_BLOCKING),
        stream(NON_BLOCKING),
    );
    let (early, late) = (event(), event());
    unsafe {
        ok(cuEventRecord(early, first));
        ok(cuMemsetD8Async(a, 1, 16, first));
        ok(cuEventRecord(late, first));
        ok(cuStreamWaitEvent(second, early, 0));
        let too_early = cuMemsetD8Async(a, 2, 16, second);
        assert_eq!(error_name(too_early), IN_NO_ORDER);
        ok(cuEventSynchronize(early));
        let too_early = cuMemsetD8Async(a, 2, 16, second);
        assert_eq!(error_name(too_early), IN_NO_ORDER);
        // What the second stream has waited for, the third has that waits for the second.
        ok(cuStreamWaitEvent(second, late, 0));
        join(third, second, early);
        ok(cuMemsetD8Async(a, 3, 16, third));
        ok(cuMemFreeAsync(a, third));
    }
}

#[test]
fn the_bytes_of_copies_are_told_apart() {
    let app = App::start();
    let a = app.upload(&[1f32; 4]);
    let (first, second) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    unsafe {
        ok(cuMemsetD8Async(a, 1, 8, first));
        ok(cuMemsetD8Async(a + 8, 2, 8, second));
        let over = cuMemsetD8Async(a + 4, 3, 8, second);
        assert_eq!(error_name(over), IN_NO_ORDER);
        ok(cuMemFree_v2(a));
    }
}

#[test]
fn a_copy_between_devices_is_in_one_stream_only() {
    let app = App::start();
    let here = app.upload(&[1f32; 4]);
    let source = stream(NON_BLOCKING);
    let recorded = event();
    app.on(1);
    let there = app.upload(&[0f32; 4]);
    let target = stream(NON_BLOCKING);
    let [from, to] = app.contexts;
    let copy = || unsafe { cuMemcpyPeerAsync(there, to, here, from, 16, target) };
    unsafe {
        ok(cuMemsetD8Async(here, 7, 16, source));
        assert_eq!(error_name(copy()), IN_NO_ORDER);
        join(target, source, recorded);
        ok(copy());
        // The sender gives the memory back while the receiver may still read it.
        let early = cuMemFreeAsync(here, source);
        assert_eq!(error_name(early), IN_NO_ORDER);
        ok(cuStreamSynchronize(target));
        ok(cuMemFree_v2(there));
    }
}

#[test]
fn memory_of_a_stream_is_that_stream_s_until_another_has_waited() {
    let app = App::start();
    let (first, second) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    let mut a = 0;
    unsafe {
        ok(cuMemAllocAsync(&mut a, 16, first));
        let early = cuMemsetD8Async(a, 1, 16, second);
        assert_eq!(error_name(early), IN_NO_ORDER);
        join(second, first, event());
        ok(cuMemsetD8Async(a, 1, 16, second));
        ok(cuMemFreeAsync(a, second));
    }
    drop(app);
}

#[test]
fn the_null_stream_and_blocking_streams_wait_for_each_other() {
    let app = App::start();
    let a = app.upload(&[1f32; 4]);
    let (blocking, other) = (stream(0), stream(NON_BLOCKING));
    unsafe {
        ok(cuMemsetD8Async(a, 1, 16, blocking));
        ok(cuMemsetD8_v2(a, 2, 16));
        ok(cuMemsetD8Async(a, 3, 16, blocking));
        let apart = cuMemsetD8Async(a, 4, 16, other);
        assert_eq!(error_name(apart), IN_NO_ORDER);
        ok(cuMemFree_v2(a));
    }
}

#[test]
fn libraries_work_on_the_stream_that_they_were_given() {
    let app = App::start();
    let (a, c) = (app.upload(&[1f32; 4]), app.upload(&[0f32; 4]));
    let (first, second) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    let (mut blas, mut random) = (null_mut(), null_mut());
    let (one, zero) = (1f32, 0f32);
    unsafe {
        ok(cublasCreate_v2(&mut blas));
        ok(cublasSetStream_v2(blas, first));
        let square = |blas| cublasSgemm_v2(blas, 0, 0, 2, 2, 2, &one, a, 2, a, 2, &zero, c, 2);
        ok(square(blas));
        let early = cuMemsetD8Async(a, 1, 16, second);
        assert_eq!(error_name(early), IN_NO_ORDER, "the product reads it");
        ok(cublasSetStream_v2(blas, second));
        assert_ne!(square(blas), 0, "the other product writes there");
        ok(curandCreateGenerator(&mut random, 100));
        ok(curandSetStream(random, second));
        assert_ne!(curandGenerateUniform(random, c, 4), 0);
        ok(cuStreamSynchronize(first));
        ok(curandGenerateUniform(random, c, 4));
        app.on(1);
        let mut there = 0;
        ok(cuMemAlloc_v2(&mut there, 16));
        assert_ne!(
            curandGenerateUniform(random, there, 4),
            0,
            "another device's"
        );
        ok(cuMemFree_v2(there));
        app.on(0);
        ok(cublasDestroy_v2(blas));
        ok(curandDestroyGenerator(random));
        ok(cuMemFree_v2(a));
        ok(cuMemFree_v2(c));
    }
    drop(app);
}

#[test]
fn what_a_device_sends_is_in_pinned_memory_when_the_host_has_waited() {
    let app = App::start();
    let a = app.upload(&[1f32, 2.0]);
    let host = pinned(&[0f32; 2]);
    let (stream, done) = (stream(NON_BLOCKING), event());
    unsafe {
        let to = host.as_mut_ptr().cast();
        ok(cuMemcpyDtoHAsync_v2(to, a, 8, stream));
        assert_eq!(host, [0.0; 2], "not yet");
        ok(cuEventRecord(done, stream));
        ok(cuEventSynchronize(done));
        assert_eq!(host, [1.0, 2.0]);
        ok(cuMemFreeHost(to));
        ok(cuMemFree_v2(a));
    }
}

#[test]
fn what_is_sent_to_a_device_stays_until_the_host_has_waited() {
    let app = App::start();
    let a = app.upload(&[0f32; 2]);
    let host = pinned(&[1f32, 2.0]);
    let stream = stream(NON_BLOCKING);
    let send =
        |from: &[f32]| unsafe { ok(cuMemcpyHtoDAsync_v2(a, from.as_ptr().cast(), 8, stream)) };
    unsafe {
        send(host);
        ok(cuStreamSynchronize(stream));
        host[1] = 3.0;
        send(host);
        host[0] = 4.0;
        assert_eq!(error_name(cuStreamSynchronize(stream)), IN_NO_ORDER);
        send(host);
        let early = cuMemFreeHost(host.as_mut_ptr().cast());
        assert_eq!(error_name(early), IN_NO_ORDER);
        ok(cuMemFree_v2(a));
    }
}

#[test]
fn pinned_memory_hands_values_from_one_stream_to_another() {
    let app = App::start();
    let (a, b) = (app.upload(&[1f32, 2.0]), app.upload(&[0f32; 2]));
    let host = pinned(&[0f32; 2]);
    let memory = host.as_mut_ptr().cast();
    let (first, second) = (stream(NON_BLOCKING), stream(NON_BLOCKING));
    unsafe {
        ok(cuMemcpyDtoHAsync_v2(memory, a, 8, first));
        let early = cuMemcpyHtoDAsync_v2(b, memory, 8, second);
        assert_eq!(error_name(early), IN_NO_ORDER);
        join(second, first, event());
        ok(cuMemcpyHtoDAsync_v2(b, memory, 8, second));
        let early = cuMemcpyDtoHAsync_v2(memory, a, 8, first);
        assert_eq!(
            error_name(early),
            IN_NO_ORDER,
            "the other stream may still read it"
        );
        ok(cuStreamSynchronize(second));
        ok(cuStreamSynchronize(first));
        ok(cuMemFreeHost(memory));
    }
    assert_eq!(app.download(b, 2), Ok(vec![1f32, 2.0]));
    for address in [a, b] {
        unsafe { ok(cuMemFree_v2(address)) };
    }
}

#[test]
fn events_and_kernels_belong_to_a_device() {
    let app = App::start();
    let a = app.upload(&[1f32; 4]);
    let (function, here) = (app.kernel("vector_add", "vector_add"), event());
    app.on(1);
    let there = stream(NON_BLOCKING);
    let another = "CUDA_ERROR_INVALID_HANDLE";
    unsafe { assert_eq!(error_name(cuEventRecord(here, there)), another) };
    let launched = app.launch_on(there, function, 1, 32, &mut [a, a, a, 4]);
    assert_eq!(error_name(launched), another);
    app.on(0);
    unsafe { ok(cuMemFree_v2(a)) };
}
