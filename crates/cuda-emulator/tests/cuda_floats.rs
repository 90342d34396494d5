//! Conversions and arithmetic of CUDA C++ round as they should. Needs NVRTC.

// Written as the expressions of CUDA C++ beside them are.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

mod rig;

use half::{bf16, f16};
use rig::values::{Random, expression, f32s, f64s, map, same};

macro_rules! float_to_int {
    ($name:ident, $a:ty, $ca:literal, $values:ident, $($e:literal => $t:ty, $f:expr);*) => {
        #[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
        fn $name() {
            let a: Vec<$a> = $values(1024, 5);
            $({
                let got: Vec<i64> = map(&expression($ca, $ca, "i64", $e), &[], &a, &a);
                let f: fn($a) -> $a = $f;
                for i in 0..1024 {
                    let e = if a[i].is_nan() { continue } else { f(a[i]) as $t as i64 };
                    assert_eq!(got[i], e, "{} of {:e}", $e, a[i]);
                }
            })*
        }
    };
}

float_to_int!(float_to_int, f32, "float", f32s,
    "__float2int_rn(x)" => i32, |x| x.round_ties_even(); "__float2int_rz(x)" => i32, |x| x.trunc(); "__float2int_rd(x)" => i32, |x| x.floor(); "__float2int_ru(x)" => i32, |x| x.ceil();
    "(i64)__float2uint_rn(x)" => u32, |x| x.round_ties_even(); "(i64)__float2uint_ru(x)" => u32, |x| x.ceil();
    "__float2ll_rd(x)" => i64, |x| x.floor(); "(i64)__float2ull_rz(x)" => u64, |x| x.trunc(); "(i64)__float2ull_ru(x)" => u64, |x| x.ceil());
float_to_int!(double_to_int, f64, "double", f64s,
    "__double2int_rn(x)" => i32, |x| x.round_ties_even(); "__double2int_ru(x)" => i32, |x| x.ceil(); "(i64)__double2uint_rd(x)" => u32, |x| x.floor();
    "__double2ll_rn(x)" => i64, |x| x.round_ties_even(); "(i64)__double2ull_rz(x)" => u64, |x| x.trunc());

/// Which way the nearest float to `v`, which is `near`, has to move: rounding to nearest (9), to zero (0), down
/// (-1) or up (1).
fn moved(near: i128, v: i128, mode: i32) -> i32 {
    match mode {
        0 if near.abs() > v.abs() => {
            if v > 0 {
                -1
            } else {
                1
            }
        }
        -1 if near > v => -1,
        1 if near < v => 1,
        _ => 0,
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn integers_become_floats_in_every_rounding() {
    let mut r = Random(13);
    let a: Vec<i64> = (0..1024).map(|_| r.edge() as i64).collect();
    for (e, ty, mode) in [
        ("__int2float_rz((int)x)", "i32", 0),
        ("__int2float_rd((int)x)", "i32", -1),
        ("__int2float_ru((int)x)", "i32", 1),
        ("__ll2float_rn(x)", "i64", 9),
        ("__ll2float_rd(x)", "i64", -1),
        ("__ll2float_ru(x)", "i64", 1),
        ("__ull2float_rn((u64)x)", "u64", 9),
        ("__ull2float_rz((u64)x)", "u64", 0),
    ] {
        let got: Vec<f32> = map(&expression("i64", "i64", "float", e), &[], &a, &a);
        for i in 0..1024 {
            let v: i128 = match ty {
                "i32" => (a[i] as i32).into(),
                "i64" => a[i].into(),
                _ => (a[i] as u64).into(),
            };
            let near = v as f32;
            let want = match moved(near as i128, v, mode) {
                -1 => near.next_down(),
                1 => near.next_up(),
                _ => near,
            };
            assert_eq!(got[i], want, "{e} of {v}");
        }
    }
    for (e, mode) in [
        ("__ll2double_rn(x)", 9),
        ("__ll2double_rd(x)", -1),
        ("__ll2double_ru(x)", 1),
        ("__ll2double_rz(x)", 0),
    ] {
        let got: Vec<f64> = map(&expression("i64", "i64", "double", e), &[], &a, &a);
        for i in 0..1024 {
            let v = i128::from(a[i]);
            let near = v as f64;
            let want = match moved(near as i128, v, mode) {
                -1 => near.next_down(),
                1 => near.next_up(),
                _ => near,
            };
            assert_eq!(got[i], want, "{e} of {v}");
        }
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn halves_become_floats_and_floats_halves() {
    let a: Vec<u16> = (0..=u16::MAX).collect();
    let got: Vec<f32> = map(
        &expression("u16", "u16", "float", "__half2float(__ushort_as_half(x))"),
        &[],
        &a,
        &a,
    );
    for i in 0..65536usize {
        assert!(same(got[i], f16::from_bits(a[i]).to_f32()));
    }
    let got: Vec<f32> = map(
        &expression(
            "u16",
            "u16",
            "float",
            "__bfloat162float(__ushort_as_bfloat16(x))",
        ),
        &[],
        &a,
        &a,
    );
    for i in 0..65536usize {
        assert!(same(got[i], bf16::from_bits(a[i]).to_f32()));
    }
    let v = f32s(8192, 21);
    let got: Vec<u16> = map(
        &expression(
            "float",
            "float",
            "u16",
            "__half_as_ushort(__float2half_rn(x))",
        ),
        &[],
        &v,
        &v,
    );
    let gob: Vec<u16> = map(
        &expression(
            "float",
            "float",
            "u16",
            "__bfloat16_as_ushort(__float2bfloat16_rn(x))",
        ),
        &[],
        &v,
        &v,
    );
    for i in 0..8192 {
        if v[i].is_nan() {
            assert_eq!((got[i], gob[i]), (0x7fff, 0x7fff));
            continue;
        }
        assert_eq!(got[i], f16::from_f32(v[i]).to_bits(), "{:e}", v[i]);
        assert_eq!(gob[i], bf16::from_f32(v[i]).to_bits(), "{:e}", v[i]);
    }
    for (e, dir) in [
        ("__half_as_ushort(__float2half_rd(x))", -1),
        ("__half_as_ushort(__float2half_ru(x))", 1),
        ("__half_as_ushort(__float2half_rz(x))", 0),
    ] {
        let got: Vec<u16> = map(&expression("float", "float", "u16", e), &[], &v, &v);
        for i in 0..8192 {
            if v[i].is_nan() {
                continue;
            }
            let g = f16::from_bits(got[i]).to_f32();
            let ok = match dir {
                -1 => g <= v[i],
                1 => g >= v[i],
                _ => g.abs() <= v[i].abs(),
            };
            assert!(ok, "{e} of {:e} is {g:e}", v[i]);
            if v[i].is_finite() && g.is_finite() && v[i].abs() < 65504.0 {
                let n = f16::from_f32(v[i]).to_f32();
                assert!(
                    (g - v[i]).abs()
                        <= 2.0 * (n - v[i]).abs().max(2f32.powi(-25)) + v[i].abs() * 2f32.powi(-10)
                );
            }
        }
    }
    let w = f64s(8192, 22);
    let got: Vec<u16> = map(
        &expression(
            "double",
            "double",
            "u16",
            "__half_as_ushort(__double2half(x))",
        ),
        &[],
        &w,
        &w,
    );
    for i in 0..8192 {
        if !w[i].is_nan() {
            assert_eq!(got[i], f16::from_f64(w[i]).to_bits(), "{:e}", w[i]);
        }
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn comparisons_know_nan() {
    let v = [0.0f32, -0.0, 1.0, f32::NAN];
    let pairs: Vec<(f32, f32)> = (0..32).map(|i| (v[i / 4 % 4], v[i % 4])).collect();
    let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
    let got: Vec<u32> = map(
        &expression(
            "float",
            "float",
            "u32",
            "(x<y)|(x<=y)<<1|(x>y)<<2|(x>=y)<<3|(x==y)<<4|(x!=y)<<5|(!(x<y))<<6|(!(x>=y))<<7|(x!=x||y!=y)<<8|(!(x==y))<<9|isnan(x)<<10|signbit(x)<<11",
        ),
        &[],
        &a,
        &b,
    );
    for i in 0..32 {
        let (x, y) = (a[i], b[i]);
        let bits = [
            x < y,
            x <= y,
            x > y,
            x >= y,
            x == y,
            x != y,
            !(x < y),
            !(x >= y),
            x.is_nan() || y.is_nan(),
            !(x == y),
            x.is_nan(),
            x.is_sign_negative(),
        ];
        assert_eq!(
            got[i],
            bits.iter()
                .enumerate()
                .fold(0, |m, (j, t)| m | u32::from(*t) << j),
            "{x} {y}"
        );
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn floats_round_in_every_direction() {
    let (a, b) = (f32s(4096, 41), f32s(4096, 42));
    for (e, f) in [
        (
            "x/y",
            (|x, y| f64::from(x) / f64::from(y)) as fn(f32, f32) -> f64,
        ),
        ("__fmul_rn(x,y)", |x, y| f64::from(x) * f64::from(y)),
        ("__fadd_rn(x,y)", |x, y| f64::from(x + y)),
        ("sqrtf(x)", |x, _| f64::from(x).sqrt()),
        ("__frcp_rn(x)", |x, _| 1.0 / f64::from(x)),
        ("fmaf(x,y,x)", |x, y| f64::from(x.mul_add(y, x))),
    ] {
        let got: Vec<f32> = map(&expression("float", "float", "float", e), &[], &a, &b);
        for i in 0..4096 {
            assert!(
                same(got[i], f(a[i], b[i]) as f32),
                "{e} of {:e} {:e}: {:e}",
                a[i],
                b[i],
                got[i]
            );
        }
    }
    // Directed modes: bracket, and no further than one step from nearest.
    for (op, f) in [
        ("__fadd_", (|x, y| x + y) as fn(f32, f32) -> f32),
        ("__fmul_", |x, y| x * y),
        ("__fdiv_", |x, y| x / y),
    ] {
        for (mode, dir) in [("rd", -1), ("ru", 1), ("rz", 0)] {
            let got: Vec<f32> = map(
                &expression("float", "float", "float", &format!("{op}{mode}(x,y)")),
                &[],
                &a,
                &b,
            );
            for i in 0..4096 {
                let near = f(a[i], b[i]);
                if !near.is_finite() || !a[i].is_finite() || !b[i].is_finite() {
                    continue;
                }
                let (x, y) = (f64::from(a[i]), f64::from(b[i]));
                let wide = match op {
                    "__fadd_" => x + y,
                    "__fmul_" => x * y,
                    _ => x / y,
                };
                let _ = wide;
                let g = f64::from(got[i]);
                let ok = match dir {
                    -1 => g <= wide && got[i] >= near.next_down(),
                    1 => g >= wide && got[i] <= near.next_up(),
                    _ => g.abs() <= wide.abs() && (got[i].abs() >= near.abs().next_down()),
                };
                assert!(
                    ok || g == wide,
                    "{op}{mode} {:e} {:e}: {:e} (nearest {near:e})",
                    a[i],
                    b[i],
                    got[i]
                );
            }
        }
    }
}

#[test]
#[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
fn fast_math_keeps_the_values() {
    let a: Vec<f32> = (0..64).map(|i| i as f32 * 0.37 - 5.1).collect();
    for e in [
        "__half2float(__float2half(x))+1.0f",
        "(float)(int)x",
        "(float)__float2int_ru(x)",
        "__bfloat162float(__float2bfloat16(x))",
        "floorf(x)",
        "ceilf(x)",
        "rintf(x)",
        "truncf(x)",
        "roundf(x)",
        "__saturatef(x)",
        "fabsf(x)",
        "x/3.0f",
        "sqrtf(fabsf(x))",
        "fmaf(x,x,1.0f)",
    ] {
        let plain: Vec<f32> = map(&expression("float", "float", "float", e), &[], &a, &a);
        let fast: Vec<f32> = map(
            &expression("float", "float", "float", e),
            &["--use_fast_math"],
            &a,
            &a,
        );
        for i in 0..64 {
            assert!(
                (plain[i] - fast[i]).abs() <= plain[i].abs() * 1e-6,
                "{e} of {}: {} without, {} with fast math",
                a[i],
                plain[i],
                fast[i]
            );
        }
    }
    // Ceiling of a subnormal with ftz is zero.
    let tiny = vec![1e-40f32; 32];
    let up: Vec<f32> = map(
        &expression(
            "float",
            "float",
            "float",
            "ceilf(x)+(float)__float2int_ru(x)",
        ),
        &["--use_fast_math"],
        &tiny,
        &tiny,
    );
    assert_eq!(up[0], 0.0, "ceil of a subnormal with .ftz");
}
