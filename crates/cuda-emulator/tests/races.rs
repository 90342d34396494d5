//! Data races that hide: behind atomics, in one instruction, between sizes.

mod rig;

use rig::{Rig, shape};

const UNWRITTEN: &str = "never written";
const RACE: &str = "data race";

const SHARED_INT: &str = ".shared .align 4 .b8 s[4];\n";

/// Under every schedule the race is found, or that its first read comes too early.
fn race_both(body: &str, threads: u32) {
    for seed in 0..32 {
        let mut d = Rig::body(0, &format!("{SHARED_INT}{body}"));
        d.seed = seed;
        let fault = d.only(shape(1, threads), &[]).expect_err("a race");
        let report = fault.to_string();
        assert!(
            report.contains(RACE) || report.contains(UNWRITTEN),
            "{report}"
        );
    }
}

#[test]
fn writes_of_equal_values() {
    race_both("mov.u32 %r1, 5; st.shared.u32 [s], %r1;", 64);
}

#[test]
fn a_plain_write_then_atomics_of_one_warp() {
    // if (t == 0) s = 0;  (no barrier)  atomicAdd(&s, 1);
    race_both(
        "setp.eq.s32 %p1,%r0,0; @%p1 st.shared.u32 [s], 0; red.shared.add.u32 [s], 1;",
        32,
    );
}

#[test]
fn a_plain_write_then_atomics_of_many_warps() {
    // As above with four warps, in global memory that was written before.
    for seed in 0..64 {
        let mut d = Rig::body(
            1,
            "setp.eq.s32 %p1,%r0,0; @%p1 st.global.u32 [%rd0], 0; red.global.add.u32 [%rd0], 1;",
        );
        d.seed = seed;
        let a = d.upload(&[0u32]);
        assert!(
            d.only(shape(1, 128), &[a]).is_err(),
            "with seed {seed}: sum {:?}",
            d.read::<u32>(a, 1)
        );
    }
}

#[test]
fn atomics_then_a_plain_read() {
    race_both(
        "setp.eq.s32 %p1,%r0,0; @%p1 st.shared.u32 [s], 0; bar.sync 0; red.shared.add.u32 [s], 1; ld.shared.u32 %r2,[s];",
        64,
    );
}

#[test]
fn a_plain_write_does_not_hide_behind_an_atomic() {
    // Thread 0 writes plainly and then atomically; thread 33 reads-modifies: its order to the plain write is open.
    for seed in 0..32 {
        let mut d = Rig::body(
            1,
            "setp.ne.s32 %p1,%r0,0; @%p1 bra $a; st.global.u32 [%rd0], 9; atom.global.add.u32 %r1,[%rd0],1; $a: setp.ne.s32 %p2,%r0,33; @%p2 bra $b; atom.global.add.u32 %r1,[%rd0],1; $b:",
        );
        d.seed = seed;
        let a = d.upload(&[0u32]);
        assert!(d.only(shape(1, 64), &[a]).is_err(), "with seed {seed}");
    }
}

#[test]
fn four_bytes_against_eight() {
    let d = Rig::body(
        0,
        ".shared .align 8 .b8 s[8]; setp.eq.u32 %p2,%r0,0; @%p2 st.shared.u64 [s], 3; setp.eq.u32 %p3,%r0,32; @%p3 st.shared.u32 [s+4], 4;",
    );
    d.faults(shape(1, 64), &[], RACE);
}

#[test]
fn a_volatile_write_against_a_plain_one() {
    let d = Rig::body(
        0,
        ".shared .align 4 .b8 s[4]; setp.eq.u32 %p1,%r0,0; @%p1 st.shared.u32 [s],1; setp.eq.u32 %p2,%r0,40; @%p2 ld.volatile.shared.u32 %r1,[s];",
    );
    for seed in 0..8 {
        let mut d = Rig::body(
            0,
            ".shared .align 4 .b8 s[4]; setp.eq.u32 %p1,%r0,0; @%p1 st.shared.u32 [s],1; setp.eq.u32 %p2,%r0,40; @%p2 st.volatile.shared.u32 [s],2;",
        );
        d.seed = seed;
        d.faults(shape(1, 64), &[], RACE);
    }
    drop(d);
}

#[test]
fn atomics_against_a_read_of_another_block() {
    let mut d = Rig::body(
        1,
        "mov.u32 %r1,%ctaid.x; setp.eq.u32 %p1,%r1,0; @%p1 atom.global.add.u32 %r2,[%rd0],1; setp.eq.u32 %p2,%r1,1; @%p2 ld.global.u32 %r2,[%rd0];",
    );
    let a = d.upload(&[0u32]);
    d.faults(shape(2, 1), &[a], RACE);
}

#[test]
fn lanes_of_one_instruction() {
    // Two lanes of one store write the same word; two lanes of a vector store overlap.
    let mut d = Rig::body(
        1,
        "shr.u32 %r1,%r0,1; mul.wide.u32 %rd1,%r1,4; add.s64 %rd1,%rd0,%rd1; st.global.u32 [%rd1],%r0;",
    );
    let a = d.upload(&[0u32; 32]);
    d.faults(shape(1, 32), &[a], RACE);
    let mut d = Rig::body(
        1,
        "and.b32 %r1,%r0,3; mul.wide.u32 %rd1,%r1,8; add.s64 %rd1,%rd0,%rd1; st.global.v2.u32 [%rd1],{%r0,%r0};",
    );
    let a = d.upload(&[0u32; 32]);
    d.faults(shape(1, 32), &[a], RACE);
}

#[test]
fn bytes_and_halves() {
    for (ty, step) in [("u8", 0), ("u16", 0)] {
        let mut d = Rig::body(
            1,
            &format!("cvt.u16.u32 %rs1,%r0; st.global.{ty} [%rd0+{step}],%rs1;"),
        );
        let a = d.upload(&[0u32; 4]);
        d.faults(shape(1, 64), &[a], RACE);
    }
}

#[test]
fn a_plain_read_before_a_swap_of_the_same_word_is_none() {
    let mut rig = Rig::body(
        1,
        "ld.global.u32 %r1, [%rd0]; $l: add.u32 %r2, %r1, 1; mov.u32 %r3, %r1;
         atom.global.cas.b32 %r1, [%rd0], %r3, %r2; setp.ne.u32 %p1, %r1, %r3; @%p1 bra $l;",
    );
    let a = rig.upload(&[0u32]);
    for seed in 0..8 {
        rig.seed = seed;
        rig.ok(shape(4, 64), &[a]);
    }
    assert_eq!(rig.read::<u32>(a, 1), [8 * 4 * 64]);
}
