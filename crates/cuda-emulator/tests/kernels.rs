//! Correct kernels give correct results, whatever order the warps run in.

mod rig;

use half::{bf16, f16};
use rig::Rig;

#[test]
fn vectors_are_added_and_the_bound_is_kept() {
    let mut rig = Rig::file("vector_add");
    let (a, b): (Vec<f32>, Vec<f32>) = (0..1000).map(|i| (i as f32, 0.5 * i as f32)).unzip();
    let (a, b, out) = (rig.upload(&a), rig.upload(&b), rig.empty(4000));
    rig.run("vector_add", 4, 256, &[a, b, out, 1000]).unwrap();
    let sums: Vec<f32> = rig.read(out, 1000);
    assert!(sums.iter().enumerate().all(|(i, s)| *s == 1.5 * i as f32));
}

#[test]
fn a_reduction_in_shared_memory_gives_the_sum_for_every_schedule() {
    for seed in 0..20 {
        let mut rig = Rig::file("block_sum");
        rig.seed = seed;
        let values: Vec<f32> = (0..128 * 9).map(|i| i as f32).collect();
        let (input, out) = (rig.upload(&values), rig.empty(36));
        rig.run("block_sum", 9, 128, &[input, out]).unwrap();
        let expected: Vec<f32> = values.chunks(128).map(|c| c.iter().sum()).collect();
        assert_eq!(rig.read::<f32>(out, 9), expected);
    }
}

#[test]
fn lanes_may_loop_their_own_number_of_times() {
    let mut rig = Rig::file("collatz");
    let out = rig.empty(4 * 100);
    rig.run("collatz", 1, 100, &[out]).unwrap();
    let steps = |start: u32| {
        let (mut n, mut count) = (start, 0);
        while n != 1 {
            n = if n % 2 == 1 { 3 * n + 1 } else { n / 2 };
            count += 1;
        }
        count
    };
    let expected: Vec<u32> = (1..=100).map(steps).collect();
    assert_eq!(rig.read::<u32>(out, 100), expected);
}

#[test]
fn a_warp_sums_votes_and_reduces_together() {
    let mut rig = Rig::file("warp");
    let values: Vec<u32> = (0..64).map(|i| 3 * i + 5).collect();
    let input = rig.upload(&values);
    let (sums, votes, least) = (rig.empty(256), rig.empty(256), rig.empty(256));
    rig.run("warp", 1, 64, &[input, sums, votes, least])
        .unwrap();
    for warp in 0..2 {
        let mine = &values[32 * warp..][..32];
        let ballot = mine
            .iter()
            .enumerate()
            .fold(0u32, |m, (i, v)| m | (v & 1) << i);
        for lane in 0..32 {
            let at = 32 * warp + lane;
            assert_eq!(rig.read::<u32>(sums, 64)[at], mine.iter().sum::<u32>());
            assert_eq!(rig.read::<u32>(votes, 64)[at], ballot);
            assert_eq!(rig.read::<u32>(least, 64)[at], mine[0]);
        }
    }
}

#[test]
fn atomics_lose_nothing_within_a_block_or_between_blocks() {
    let mut rig = Rig::file("histogram");
    let values: Vec<u32> = (0..96 * 40u32)
        .map(|i| i.wrapping_mul(2654435761) >> 20)
        .collect();
    let (input, counts, best) = (
        rig.upload(&values),
        rig.upload(&[0u32; 8]),
        rig.upload(&[0u32]),
    );
    rig.run("histogram", 40, 96, &[input, counts, best])
        .unwrap();
    let mut expected = [0u32; 8];
    values.iter().for_each(|v| expected[*v as usize & 7] += 1);
    assert_eq!(rig.read::<u32>(counts, 8), expected);
    assert_eq!(
        rig.read::<u32>(best, 1)[0],
        values.iter().copied().max().unwrap()
    );
}

#[test]
fn device_functions_are_called_from_diverged_lanes() {
    let mut rig = Rig::file("call");
    let out = rig.empty(4 * 48);
    rig.run("call", 1, 48, &[out]).unwrap();
    let expected: Vec<u32> = (0..48).map(|i| i * i + i % 2).collect();
    assert_eq!(rig.read::<u32>(out, 48), expected);
}

#[test]
fn sixteen_bit_floats_round_as_the_half_crate_rounds() {
    let mut rig = Rig::file("halves");
    let values: Vec<f32> = (0..256)
        .map(|i| (i as f32 - 100.0) * 0.337 * 1.7f32.powi(i / 16))
        .collect();
    let (input, out) = (rig.upload(&values), rig.empty(16 * 256));
    rig.run("halves", 1, 256, &[input, out]).unwrap();
    let got: Vec<u16> = rig.read(out, 8 * 256);
    for (i, v) in values.iter().enumerate() {
        let row = &got[8 * i..][..8];
        let (h, b) = (f16::from_f32(*v), bf16::from_f32(*v));
        assert_eq!(row[0], h.to_bits(), "f16 of {v}");
        assert!(
            f16::from_bits(row[1]).to_f32().abs() <= v.abs(),
            "towards zero of {v}"
        );
        assert_eq!(row[2], b.to_bits(), "bf16 of {v}");
        // The product of two f16 and the sum with a third fit f64 exactly here.
        let fused = f16::from_f32((h.to_f64() * h.to_f64() + h.to_f64()) as f32);
        assert_eq!(row[3], fused.to_bits(), "fma of {v}");
        assert_eq!(
            u32::from(row[4]) | u32::from(row[5]) << 16,
            h.to_f32().to_bits()
        );
        let both = bf16::from_f32((b.to_f64() * b.to_f64() + b.to_f64()) as f32).to_bits();
        assert_eq!([row[6], row[7]], [both, both], "bf16x2 fma of {v}");
    }
}

#[test]
fn extended_precision_carries_between_words() {
    let mut rig = Rig::body(
        1,
        "mov.u32 %r1, -1; mov.u32 %r2, 7; mov.u32 %r3, 0;
         add.cc.u32 %r4, %r1, %r2; addc.u32 %r5, %r3, 0;
         sub.cc.u32 %r6, %r3, %r2; subc.u32 %r7, %r2, 0;
         mad.lo.cc.u32 %r8, %r1, %r1, %r1; madc.hi.u32 %r9, %r1, %r1, 0;
         st.global.u32 [%rd0], %r4; st.global.u32 [%rd0+4], %r5; st.global.u32 [%rd0+8], %r6;
         st.global.u32 [%rd0+12], %r7; st.global.u32 [%rd0+16], %r8; st.global.u32 [%rd0+20], %r9;",
    );
    let out = rig.empty(24);
    rig.run("broken", 1, 1, &[out]).unwrap();
    let square = u64::from(u32::MAX) * u64::from(u32::MAX) + u64::from(u32::MAX);
    let expected = [
        6,
        1,
        0u32.wrapping_sub(7),
        6,
        square as u32,
        (square >> 32) as u32,
    ];
    assert_eq!(rig.read::<u32>(out, 6), expected);
}
