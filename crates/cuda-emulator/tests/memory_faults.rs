//! Accesses out of bounds, misaligned or of memory never written, in awkward forms.

mod rig;

use rig::{Rig, shape};

const OUT: &str = "out-of-bounds";
const UNWRITTEN: &str = "never written";

#[test]
fn a_vector_read_half_out_of_bounds() {
    let mut d = Rig::body(1, "ld.global.v4.f32 {%f1,%f2,%f3,%f4}, [%rd0+16];");
    let a = d.upload(&[0f32; 6]);
    let m = d.faults(shape(1, 1), &[a], OUT);
    assert!(m.contains("16 bytes"), "{m}");
}

#[test]
fn a_vector_write_half_out_of_bounds() {
    let mut d = Rig::body(
        1,
        "mov.b64 %rd1, 0; st.global.v2.u64 [%rd0+16], {%rd1,%rd1};",
    );
    let a = d.upload(&[0u64; 3]);
    d.faults(shape(1, 1), &[a], OUT);
}

#[test]
fn atomics_out_of_bounds() {
    let mut d = Rig::body(1, "atom.global.add.u32 %r1, [%rd0+16], 1;");
    let a = d.upload(&[0u32; 4]);
    d.faults(shape(1, 1), &[a], "out-of-bounds global atomic");
    let d = Rig::body(
        0,
        ".shared .align 4 .b8 s[16];\nred.shared.add.u32 [s+16], 1;",
    );
    d.faults(shape(1, 1), &[], "out-of-bounds shared atomic");
}

#[test]
fn a_null_pointer() {
    let d = Rig::body(1, "ld.global.u32 %r1, [%rd0];");
    d.faults(shape(1, 1), &[0], OUT);
    d.faults(shape(1, 1), &[8], OUT);
}

#[test]
fn an_address_that_wraps() {
    let d = Rig::body(1, "ld.global.u64 %rd1, [%rd0];");
    d.faults(shape(1, 1), &[u64::MAX - 7], OUT);
    let d = Rig::body(1, "ld.global.v4.u32 {%r1,%r2,%r3,%r4}, [%rd0];");
    d.faults(shape(1, 1), &[u64::MAX - 15], OUT);
}

#[test]
fn a_write_to_constant_memory() {
    let d = Rig::new(
        ".const .align 4 .b8 c[16] = {1,2,3,4};\n.entry k() { .reg .b32 %r<2>; .reg .b64 %rd<2>; mov.u64 %rd1, c; mov.u32 %r1, 3; st.global.u32 [%rd1], %r1; ret; }",
    );
    d.faults(shape(1, 1), &[], "write to constant");
}

#[test]
fn one_lane_of_a_warp_out_of_bounds() {
    let mut d = Rig::body(
        1,
        "add.s64 %rd1,%rd0,%rd9; setp.eq.s32 %p1,%r0,31; @%p1 add.s64 %rd1,%rd1,4; ld.global.u32 %r1,[%rd1];",
    );
    let a = d.upload(&[0u32; 32]);
    let m = d.faults(shape(1, 32), &[a], OUT);
    assert!(m.contains("thread (31, 0, 0)"), "{m}");
}

#[test]
fn shared_memory_misaligned_by_two() {
    let d = Rig::body(0, ".shared .align 8 .b8 s[16];\nst.shared.u32 [s+2], %r0;");
    d.faults(shape(1, 1), &[], "misaligned shared write of 4");
}

#[test]
fn a_misaligned_atomic() {
    let mut d = Rig::body(1, "atom.global.add.u64 %rd1, [%rd0+4], 1;");
    let a = d.upload(&[0u32; 4]);
    d.faults(shape(1, 1), &[a], "misaligned");
}

#[test]
fn one_lane_misaligned() {
    let mut d = Rig::body(
        1,
        "add.s64 %rd1,%rd0,%rd9; setp.eq.s32 %p1,%r0,7; @%p1 add.s64 %rd1,%rd1,2; ld.u32 %r1,[%rd1];",
    );
    let a = d.upload(&[0u32; 33]);
    let m = d.faults(shape(1, 32), &[a], "misaligned");
    assert!(m.contains("thread (7, 0, 0)"), "{m}");
}

#[test]
fn a_wide_read_of_what_was_written_in_part() {
    let d = Rig::body(
        0,
        ".shared .align 8 .b8 s[8]; st.shared.u16 [s], 1; st.shared.u16 [s+4], 1; st.shared.u16 [s+6], 1;\nld.shared.u64 %rd1, [s];",
    );
    d.faults(shape(1, 1), &[], UNWRITTEN);
}

#[test]
fn a_vector_whose_last_part_was_never_written() {
    let mut d = Rig::body(1, "ld.global.v4.u32 {%r1,%r2,%r3,%r4}, [%rd0];");
    let a = d.empty(16);
    d.memory.find(a, 12).unwrap().write(0, &[0; 12]);
    d.faults(shape(1, 1), &[a], UNWRITTEN);
}

#[test]
fn an_atomic_on_memory_never_written() {
    let d = Rig::body(
        0,
        ".shared .align 4 .b8 s[4];\natom.shared.add.u32 %r1, [s], 1;",
    );
    d.faults(shape(1, 1), &[], UNWRITTEN);
    let d = Rig::body(
        0,
        ".shared .align 4 .b8 s[4];\natom.shared.cas.b32 %r1, [s], 0, 1;",
    );
    d.faults(shape(1, 1), &[], UNWRITTEN);
}

#[test]
fn registers_of_the_block_before_are_gone() {
    // Block 0 writes %r5, block 1 does not: what it reads depends on how blocks are spread over cores.
    let mut d = Rig::body(
        1,
        "mov.u32 %r1,%ctaid.x; setp.eq.s32 %p1,%r1,0; @%p1 mov.u32 %r5, 77; mul.lo.u32 %r2,%r1,32; add.u32 %r2,%r2,%r0; mul.wide.u32 %rd2,%r2,4; add.s64 %rd1,%rd0,%rd2; st.global.u32 [%rd1], %r5;",
    );
    let a = d.empty(256);
    d.ok(shape(2, 32), &[a]);
    assert_eq!(
        d.read::<u32>(a, 64)[32],
        0,
        "block 1 sees a register of block 0"
    );
}

#[test]
fn a_host_pointer_is_called_one() {
    let d = Rig::body(1, "ld.global.u32 %r1,[%rd0];");
    let host = Box::new(5u32);
    d.faults(shape(1, 1), &[&raw const *host as u64], "a host pointer");
}

#[test]
fn a_shared_address_wraps_at_32_bits() {
    // A 32-bit shared address of which base and offset wrap together: -4 + 4.
    let d = Rig::body(
        0,
        ".shared .align 4 .b8 s[16]; mov.u32 %r1, s; add.s32 %r1,%r1,-4; st.shared.u32 [%r1+4], %r0; ld.shared.u32 %r2,[%r1+4];",
    );
    d.ok(shape(1, 1), &[]);
}
