//! Several threads of an application on the same devices.

mod rig;

use std::process::Command;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use cuda_emulator::ffi::{Handle, context::*, copy::*, memory::*};
use rig::app::{App, function, increment, launch, module, ok};

#[test]
fn a_stream_keeps_its_order_for_several_threads() {
    // Launches into one stream run one after the other, whoever asks: no report, and no increment is lost.
    let app = App::start();
    let a = app.upload(&[0u32]);
    let f = increment() as usize;
    let context = app.contexts[0] as usize;
    let failed: usize = std::thread::scope(|s| {
        let handles: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(move || {
                    unsafe { ok(cuCtxSetCurrent(context as Handle)) };
                    (0..2000)
                        .filter(|_| {
                            launch(f as Handle, [1; 3], [1; 3], 0, null_mut(), &mut [a]) != 0
                        })
                        .count()
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap()).sum()
    });
    let got = app.download::<u32>(a, 1).unwrap()[0];
    unsafe { ok(cuMemFree_v2(a)) };
    assert_eq!((got, failed), (50 * 8000, 0), "increments, failed launches");
}

/// Copies in both directions between two addresses, while other threads allocate where these are.
fn copy_while_allocating(app: &App, places: [u64; 2], devices: [usize; 2]) {
    let contexts = devices.map(|d| app.contexts[d] as usize);
    std::thread::scope(|s| {
        for thread in 0..4 {
            s.spawn(move || unsafe {
                ok(cuCtxSetCurrent(contexts[thread % 2] as Handle));
                for _ in 0..50_000 {
                    let (from, to) = (places[thread % 2], places[1 - thread % 2]);
                    let mut new = 0;
                    if thread < 2 {
                        // Streams in no order are reported, which is not what this is about.
                        cuMemcpyDtoD_v2(to, from, 64);
                    } else {
                        ok(cuMemAlloc_v2(&mut new, 256));
                        ok(cuMemFree_v2(new));
                    }
                }
            });
        }
    });
    for context in contexts {
        unsafe {
            ok(cuCtxSetCurrent(context as Handle));
            ok(cuCtxSynchronize());
        }
    }
    for place in places {
        unsafe { ok(cuMemFree_v2(place)) };
    }
}

#[test]
fn copies_and_allocations_do_not_lock_each_other_out() {
    let app = App::start();
    let places = [app.upload(&[1u8; 64]), app.upload(&[2u8; 64])];
    copy_while_allocating(&app, places, [0, 0]);
}

#[test]
fn copies_between_two_devices_in_both_directions_do_not_either() {
    let app = App::start();
    let here = app.upload(&[1u8; 64]);
    app.on(1);
    let there = app.upload(&[2u8; 64]);
    copy_while_allocating(&app, [here, there], [0, 1]);
}

#[test]
fn the_process_ends_while_a_kernel_runs_and_an_allocation_waits() {
    if std::env::var_os("CUDA_EMULATOR_TEST_STARTED").is_some() {
        end_while_a_kernel_runs();
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_process_ends_while_a_kernel_runs_and_an_allocation_waits",
        ])
        .env("CUDA_EMULATOR_TEST_STARTED", "")
        .spawn()
        .unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("the process hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(7));
}

fn end_while_a_kernel_runs() -> ! {
    let app = App::start();
    let endless = function(module(".entry k() { $l: bra $l; ret; }"), "k") as usize;
    let context = app.contexts[0] as usize;
    std::thread::spawn(move || {
        unsafe { ok(cuCtxSetCurrent(context as Handle)) };
        let (grid, block) = ([64, 1, 1], [64, 1, 1]);
        launch(endless as Handle, grid, block, 0, null_mut(), &mut []);
    });
    std::thread::sleep(Duration::from_millis(200));
    std::thread::spawn(move || unsafe {
        ok(cuCtxSetCurrent(context as Handle));
        cuMemAlloc_v2(&mut 0, 64);
    });
    std::thread::sleep(Duration::from_millis(200));
    std::process::exit(7);
}
