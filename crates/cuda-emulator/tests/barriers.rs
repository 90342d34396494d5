//! Barriers and what warps do together, done wrong; and blocks that do not end.

mod rig;

use rig::{Rig, shape};

#[test]
fn a_barrier_in_a_branch() {
    let d = Rig::body(
        0,
        "and.b32 %r1,%r0,1; setp.eq.u32 %p1,%r1,0; @%p1 bar.sync 0; bar.sync 0;",
    );
    d.faults(shape(1, 64), &[], "divergent");
}

#[test]
fn a_barrier_for_more_threads_than_there_are() {
    let d = Rig::body(0, "bar.sync 1, 96;");
    d.faults(
        shape(1, 64),
        &[],
        "invalid barrier: it is for 96 threads, in a block of 64",
    );
}

#[test]
fn a_barrier_for_no_whole_warps() {
    let d = Rig::body(0, "bar.sync 1, 33;");
    d.faults(shape(1, 64), &[], "barrier: ");
}

#[test]
fn a_barrier_whose_number_no_gpu_has() {
    let d = Rig::body(0, "bar.sync 16;");
    d.faults(shape(1, 64), &[], "barrier: ");
}

#[test]
fn a_shuffle_from_a_lane_that_takes_no_part() {
    let mut d = Rig::body(
        1,
        "setp.ge.u32 %p1,%r0,16; @%p1 bra $end; add.u32 %r1,%r0,100; shfl.sync.idx.b32 %r2,%r1,20,31,0xffff; add.s64 %rd1,%rd0,%rd9; st.global.u32 [%rd1],%r2; $end:",
    );
    let a = d.empty(128);
    d.faults(shape(1, 32), &[a], "reads from lane 20");
}

#[test]
fn a_lane_that_does_not_name_itself() {
    let d = Rig::body(0, "shfl.sync.idx.b32 %r2,%r0,0,31,1;");
    d.faults(shape(1, 32), &[], "barrier: ");
    let d = Rig::body(0, "bar.warp.sync 1;");
    d.faults(shape(1, 32), &[], "barrier: ");
}

#[test]
fn lanes_that_name_each_other_differently() {
    let d = Rig::body(
        0,
        "setp.lt.u32 %p1,%r0,16; mov.u32 %r1,0xffffffff; @%p1 mov.u32 %r1,0x0000ffff; vote.sync.ballot.b32 %r2,%p1,%r1;",
    );
    d.faults(shape(1, 32), &[], "barrier: ");
}

#[test]
fn a_warp_barrier_that_some_lanes_do_not_reach() {
    let d = Rig::body(
        0,
        "setp.lt.u32 %p1,%r0,16; @%p1 bra $w; bar.sync 0; bra.uni $e; $w: bar.warp.sync -1; bar.sync 0; $e:",
    );
    d.faults(shape(1, 32), &[], "divergent");
}

#[test]
fn a_block_that_does_not_end() {
    let rig = Rig::body(0, "$l:\nbra $l;");
    let report = rig.faults(shape(1, 32), &[], "endless loop");
    assert!(report.ends_with("PTX line 6"), "{report}");
}
