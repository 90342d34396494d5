//! Kernels broken on purpose: each class of fault is caught, and the report names kernel, block, thread and line.

mod rig;

use rig::{Rig, load, text};

const BASE: u64 = 1 << 44;

#[test]
fn a_missing_bound_is_an_access_out_of_bounds() {
    let without = text("vector_add").replace("@%p1 bra 	$L__BB0_2;", "");
    let mut rig = Rig::new(&without);
    let (a, b, out) = (
        rig.upload(&[1f32; 100]),
        rig.upload(&[2f32; 100]),
        rig.empty(400),
    );
    let fault = rig
        .run("vector_add", 1, 128, &[a, b, out, 100])
        .unwrap_err();
    assert_eq!(
        fault.to_string(),
        format!(
            "out-of-bounds global read of 4 bytes at {:#x} (400 bytes past the start of an allocation of 400 bytes); kernel vector_add, block (0, 0, 0), thread (100, 0, 0), PTX line 34",
            b + 400
        )
    );
}

#[test]
fn shared_memory_ends_with_its_variable() {
    let longer = text("block_sum").replace("partial[512]", "partial[508]");
    let mut rig = Rig::new(&longer);
    let (input, out) = (rig.upload(&[1f32; 128]), rig.empty(4));
    let fault = rig.run("block_sum", 1, 128, &[input, out]).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "out-of-bounds shared write of 4 bytes at 0x1fc (508 bytes past the start of a variable of 508 bytes); kernel block_sum, block (0, 0, 0), thread (127, 0, 0), PTX line 29"
    );
}

#[test]
fn dynamic_shared_memory_ends_where_the_launch_says() {
    let rig = Rig::new(
        ".extern .shared .align 4 .b8 dynamic[];
         .entry broken() { .reg .b32 %r<4>; mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; mov.u32 %r3, dynamic; add.s32 %r2, %r2, %r3;
         st.shared.u32 [%r2], %r1; ret; }",
    );
    rig.run_with("broken", 1, 64, 256, &[]).unwrap();
    let fault = rig.run_with("broken", 1, 64, 252, &[]).unwrap_err();
    assert!(
        fault
            .to_string()
            .starts_with("out-of-bounds shared write of 4 bytes at 0xfc "),
        "{fault}"
    );
    assert_eq!((fault.thread, fault.line), ([63, 0, 0], 3));
}

#[test]
fn local_memory_ends_with_the_thread_s_own() {
    let rig = Rig::body(
        0,
        ".local .align 4 .b8 depot[16]; mov.u64 %rd1, depot; mov.u32 %r1, 1;\nst.local.u32 [%rd1+16], %r1;",
    );
    assert_eq!(
        rig.fault(1, 1, &[]),
        "out-of-bounds local write of 4 bytes at 0x10 (16 bytes past the start of a variable of 16 bytes); kernel broken, block (0, 0, 0), thread (0, 0, 0), PTX line 6"
    );
}

#[test]
fn misaligned_accesses_are_named_in_every_space() {
    let mut rig = Rig::body(1, "ld.global.u32 %r1, [%rd0+2];");
    let a = rig.upload(&[0u32; 4]);
    assert_eq!(
        rig.fault(1, 1, &[a]),
        format!(
            "misaligned global read of 4 bytes at {:#x}; kernel broken, block (0, 0, 0), thread (0, 0, 0), PTX line 5",
            a + 2
        )
    );
    let mut rig = Rig::body(1, "ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd0+8];");
    let a = rig.upload(&[0f32; 8]);
    assert!(
        rig.fault(1, 1, &[a])
            .starts_with("misaligned global read of 16 bytes at")
    );
    let rig = Rig::body(0, ".shared .align 8 .b8 s[16];\nst.shared.u16 [s+1], 3;");
    assert!(
        rig.fault(1, 1, &[])
            .starts_with("misaligned shared write of 2 bytes at 0x1;")
    );
    let rig = Rig::body(0, ".local .align 8 .b8 l[16];\nst.local.u64 [l+4], 3;");
    assert!(
        rig.fault(1, 1, &[])
            .starts_with("misaligned local write of 8 bytes at 0x4;")
    );
}

#[test]
fn reads_of_memory_never_written_are_named_in_every_space() {
    let mut rig = Rig::body(1, "add.s64 %rd1, %rd0, %rd9;\nld.global.u32 %r1, [%rd1];");
    let a = rig.empty(256);
    rig.memory.find(a, 4).unwrap().write(0, &[7; 4]);
    assert_eq!(
        rig.fault(1, 2, &[a]),
        format!(
            "read of global memory never written, 4 bytes at {:#x}; kernel broken, block (0, 0, 0), thread (1, 0, 0), PTX line 6",
            a + 4
        )
    );
    let rig = Rig::body(0, ".shared .align 8 .b8 s[16];\nld.shared.u32 %r1, [s+8];");
    assert!(
        rig.fault(1, 1, &[])
            .starts_with("read of shared memory never written, 4 bytes at 0x8;")
    );
    let rig = Rig::body(
        0,
        ".local .align 8 .b8 l[16];\nst.local.u8 [l+4], 1;\nld.local.u32 %r1, [l+4];",
    );
    assert!(
        rig.fault(1, 1, &[])
            .starts_with("read of local memory never written, 4 bytes at 0x4;")
    );
}

#[test]
fn shared_memory_of_the_block_before_does_not_count_as_written() {
    let rig = Rig::body(
        0,
        ".shared .align 4 .b8 s[4]; mov.u32 %r1, %ctaid.x; setp.eq.s32 %p1, %r1, 0;
         @%p1 st.shared.u32 [s], 1;
         ld.shared.u32 %r2, [s];",
    );
    let fault = rig.run("broken", 2, 1, &[]).unwrap_err();
    assert_eq!((fault.block, fault.line), ([1, 0, 0], 7));
}

#[test]
fn a_reduction_without_its_barriers_races() {
    let without = text("block_sum").replace("bar.sync 	0;", "");
    for seed in 0..20 {
        let mut rig = Rig::new(&without);
        rig.seed = seed;
        let (input, out) = (rig.upload(&[1f32; 128]), rig.empty(4));
        let message = rig
            .run("block_sum", 1, 128, &[input, out])
            .unwrap_err()
            .to_string();
        let uninitialised = message.starts_with("read of shared memory never written");
        assert!(
            uninitialised || message.starts_with("data race in shared memory"),
            "{message}"
        );
    }
}

#[test]
fn a_race_names_both_threads() {
    let rig = Rig::body(
        0,
        ".shared .align 4 .b8 s[4]; setp.ne.s32 %p1, %r0, 33;
         @%p1 bra $other;
         st.shared.u32 [s], 1;
         $other:
         bar.sync 0;
         setp.ne.s32 %p1, %r0, 5;
         @%p1 bra $last;
         ld.shared.u32 %r1, [s];
         $last:
         setp.eq.s32 %p1, %r0, 6;
         @%p1 st.shared.u32 [s], 2;",
    );
    assert_eq!(
        rig.fault(1, 64, &[]),
        "data race in shared memory at 0x0: write after read by thread 5 of the same block with no barrier between; kernel broken, block (0, 0, 0), thread (6, 0, 0), PTX line 15"
    );
}

#[test]
fn threads_of_a_block_race_in_global_memory() {
    let mut rig = Rig::body(1, "st.global.u32 [%rd0], %r0;");
    let a = rig.empty(4);
    assert_eq!(
        rig.fault(1, 2, &[a]),
        format!(
            "data race in global memory at {a:#x}: write after write by thread 0 of the same block with no barrier between; kernel broken, block (0, 0, 0), thread (1, 0, 0), PTX line 5"
        )
    );
}

#[test]
fn blocks_race_in_global_memory() {
    let mut rig = Rig::body(1, "mov.u32 %r1, %ctaid.x;\nst.global.u32 [%rd0], %r1;");
    let a = rig.empty(4);
    assert_eq!(
        rig.fault(2, 1, &[a]),
        format!(
            "data race in global memory at {a:#x}: write after write by thread 0 of another block with no barrier between; kernel broken, block (1, 0, 0), thread (0, 0, 0), PTX line 6"
        )
    );
}

#[test]
fn a_barrier_that_half_a_warp_skips_is_divergent() {
    let rig = Rig::body(
        0,
        "setp.lt.u32 %p1, %r0, 16;
         @%p1 bra $low;
         bar.sync 0;
         bra.uni $end;
         $low:
         bar.sync 0;
         $end:",
    );
    assert_eq!(
        rig.fault(1, 32, &[]),
        "divergent barrier: lanes 0xffff0000 of the warp wait at PTX line 7, lanes 0x0000ffff at PTX line 10; kernel broken, block (0, 0, 0), thread (16, 0, 0), PTX line 7"
    );
}

#[test]
fn warps_that_wait_at_different_barriers_are_divergent() {
    let rig = Rig::body(
        0,
        "setp.lt.u32 %p1, %r0, 32;
         @%p1 bra $low;
         bar.sync 0;
         bra.uni $end;
         $low:
         bar.sync 0;
         $end:",
    );
    let message = rig.fault(1, 64, &[]);
    assert!(
        message.starts_with("divergent barrier: one warp waits at PTX line "),
        "{message}"
    );
}

#[test]
fn a_shuffle_that_some_lanes_skip_is_divergent() {
    let rig = Rig::body(
        0,
        "setp.lt.u32 %p1, %r0, 16;
         @%p1 bra $low;
         shfl.sync.idx.b32 %r1, %r0, 0, 31, -1;
         $low:
         bar.sync 0;",
    );
    let message = rig.fault(1, 32, &[]);
    assert!(
        message.starts_with("divergent barrier: lanes 0xffff0000 wait for lanes 0x0000ffff"),
        "{message}"
    );
}

#[test]
fn freed_memory_is_not_to_be_used() {
    let mut rig = Rig::body(1, "ld.global.u32 %r1, [%rd0+4];");
    let a = rig.upload(&[1u32, 2]);
    assert!(rig.memory.free(a));
    assert_eq!(
        rig.fault(1, 1, &[a]),
        format!(
            "use after free: global read of 4 bytes at {:#x}; kernel broken, block (0, 0, 0), thread (0, 0, 0), PTX line 5",
            a + 4
        )
    );
}

#[test]
fn another_device_s_memory_is_out_of_reach() {
    let rig = Rig::body(1, "st.global.u32 [%rd0], %r0;");
    assert_eq!(
        rig.fault(1, 1, &[2 * BASE]),
        "write at 0x200000000000, which is memory of device 1, by a kernel on device 0; kernel broken, block (0, 0, 0), thread (0, 0, 0), PTX line 5"
    );
}

#[test]
fn a_trap_stops_the_kernel() {
    let rig = Rig::body(0, "setp.eq.s32 %p1, %r0, 7;\n@%p1 trap;");
    assert_eq!(
        rig.fault(1, 32, &[]),
        "trap: the kernel stopped itself; kernel broken, block (0, 0, 0), thread (7, 0, 0), PTX line 6"
    );
}

fn refused(body: &str) -> String {
    let ptx = format!(".entry k() {{ .reg .b32 %r<4>; .reg .f32 %f<4>;\n{body}\nret; }}");
    load(&ptx).expect_err("it must be refused").to_string()
}

#[test]
fn what_is_not_known_stops_with_its_name_and_line() {
    assert_eq!(
        refused("frobnicate.b32 %r1, %r2;"),
        "PTX line 2: opcode `frobnicate` on b32 is not known to the emulator"
    );
    assert_eq!(
        refused("add.quickly.s32 %r1, %r2, %r3;"),
        "PTX line 2: modifier `.quickly` of `add` is not known to the emulator"
    );
    assert_eq!(
        refused("mov.u32 %r1, %nosuch;"),
        "PTX line 2: special register `%nosuch` is not known"
    );
    assert_eq!(
        refused("bra $nowhere;"),
        "PTX line 2: there is no label `$nowhere`"
    );
    assert_eq!(
        refused("call nobody, ();"),
        "PTX line 2: call of `nobody`, which is not in the module"
    );
    assert_eq!(
        refused("ld.global.u32 %r1, [nothing];"),
        "PTX line 2: `nothing` is not declared"
    );
}
