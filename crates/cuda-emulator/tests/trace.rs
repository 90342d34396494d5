//! `CUDA_EMULATOR_TRACE`. One test: a process has one trace.

mod rig;

use std::ptr::null_mut;

use cuda_emulator::ffi::{blas::*, context::*, memory::*, random::*, stream::*};
use rig::app::{App, ok};

#[test]
fn the_trace_says_who_launches_copies_and_waits() {
    let path = std::env::temp_dir().join(format!("cuda-emulator-trace-{}", std::process::id()));
    let app = App::start_with(&[("CUDA_EMULATOR_TRACE", path.to_str().unwrap())]);
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
        &["allocate 0 16", "copy_to_device 0 16", "synchronize 0"],
    );
    ok(app.launch(function, 1, 32, &mut [a, a, a, 4]));
    since("a launch", &["launch 0 vector_add"]);

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
        ok(cuMemcpyDtoHAsync_v2(
            plain.as_mut_ptr().cast(),
            b,
            16,
            stream,
        ));
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
        ok(cublasSgemm_v2(
            blas, 0, 0, 2, 2, 1, &one, a, 2, a, 1, &zero, b, 2,
        ));
        ok(curandGenerateUniform(random, a, 4));
        since(
            "libraries",
            &["product 1 2 2 1 1", "launch 0 curandGenerateUniform"],
        );

        ok(cuMemFreeAsync(b, stream));
        ok(cuMemFree_v2(a));
        since("freeing", &["free 1", "free 0", "synchronize 0"]);
        ok(cuMemFreeHost(pinned));
    }
    std::fs::remove_file(path).unwrap();
}
