//! Instructions give the values that the PTX manual says, at their edges.

mod rig;

use rig::values::{Random, f32s, same};
use rig::{Rig, shape};

#[test]
fn shifts_beyond_the_width() {
    let mut r = Random(3);
    let n = 320;
    let values: Vec<u64> = (0..n).map(|_| r.edge()).collect();
    let counts: Vec<u32> = (0..n)
        .map(|i| {
            [
                0,
                1,
                7,
                8,
                15,
                16,
                17,
                31,
                32,
                33,
                63,
                64,
                65,
                127,
                128,
                255,
                256,
                1 << 31,
                u32::MAX,
                r.next() as u32 % 70,
            ][i % 20]
        })
        .collect();
    for (op, ty, reg) in [
        ("shl", "b16", "rs"),
        ("shl", "b32", "r"),
        ("shl", "b64", "rd"),
        ("shr", "u16", "rs"),
        ("shr", "u32", "r"),
        ("shr", "u64", "rd"),
        ("shr", "s16", "rs"),
        ("shr", "s32", "r"),
        ("shr", "s64", "rd"),
        ("shr", "b32", "r"),
    ] {
        let cast = match reg {
            "rs" => "cvt.u16.u64 %rs1,%rd5;",
            "r" => "cvt.u32.u64 %r1,%rd5;",
            _ => "mov.b64 %rd1,%rd5;",
        };
        let back = match reg {
            "rs" => "cvt.u64.u16 %rd6,%rs2;",
            "r" => "cvt.u64.u32 %rd6,%r2;",
            _ => "mov.b64 %rd6,%rd2;",
        };
        let rr = |i: usize| format!("%{reg}{i}");
        let mut d = Rig::new(&format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.entry k(.param .u64 a,.param .u64 b,.param .u64 c) {{ .reg .b16 %rs<8>; .reg .b32 %r<16>; .reg .b64 %rd<16>; mov.u32 %r8,%ctaid.x; mov.u32 %r9,%tid.x; mad.lo.u32 %r8,%r8,32,%r9; ld.param.u64 %rd7,[a]; ld.param.u64 %rd8,[b]; ld.param.u64 %rd9,[c]; mul.wide.u32 %rd10,%r8,8; mul.wide.u32 %rd11,%r8,4; add.s64 %rd7,%rd7,%rd10; add.s64 %rd9,%rd9,%rd10; add.s64 %rd8,%rd8,%rd11; ld.global.u64 %rd5,[%rd7]; ld.global.u32 %r3,[%rd8]; {cast} {op}.{ty} {},{},%r3; {back} st.global.u64 [%rd9],%rd6; ret; }}",
            rr(2),
            rr(1)
        ));
        let (a, b, c) = (d.upload(&values), d.upload(&counts), d.empty(8 * n as u64));
        d.ok(shape(n as u32 / 32, 32), &[a, b, c]);
        for (i, got) in d.read::<u64>(c, n).into_iter().enumerate() {
            let bits: u32 = ty[1..].parse().unwrap();
            let mask = if bits == 64 {
                u64::MAX
            } else {
                (1 << bits) - 1
            };
            let v = values[i] & mask;
            let s = counts[i].min(bits);
            let e = match (op, &ty[..1]) {
                ("shl", _) => {
                    if s == bits {
                        0
                    } else {
                        v << s & mask
                    }
                }
                (_, "s") => {
                    let signed = ((v << (64 - bits)) as i64) >> (64 - bits);
                    (signed >> s.min(63)) as u64 & mask
                }
                _ => {
                    if s == bits {
                        0
                    } else {
                        v >> s
                    }
                }
            };
            assert_eq!(got, e, "{op}.{ty} {v:#x} by {}", counts[i]);
        }
    }
}

#[test]
fn bit_fields_at_every_position() {
    for (ty, reg, bits, signed) in [
        ("u32", "r", 32u32, false),
        ("s32", "r", 32, true),
        ("u64", "rd", 64, false),
        ("s64", "rd", 64, true),
    ] {
        let b = if bits == 32 { "b32" } else { "b64" };
        let conv = if bits == 32 {
            "cvt.u32.u64 %r1,%rd5; cvt.u32.u64 %r2,%rd6;"
        } else {
            "mov.b64 %rd1,%rd5; mov.b64 %rd2,%rd6;"
        };
        let store = if bits == 32 {
            "cvt.u64.u32 %rd3,%r3; cvt.u64.u32 %rd4,%r4;"
        } else {
            ""
        };
        let mut d = Rig::new(&format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.entry k(.param .u64 x,.param .u64 y,.param .u32 pos,.param .u64 c) {{ .reg .b32 %r<16>; .reg .b64 %rd<16>; mov.u32 %r9,%tid.x; ld.param.u64 %rd5,[x]; ld.param.u64 %rd6,[y]; ld.param.u32 %r7,[pos]; ld.param.u64 %rd9,[c]; mul.wide.u32 %rd10,%r9,16; add.s64 %rd9,%rd9,%rd10; {conv} bfe.{ty} %{reg}3,%{reg}1,%r7,%r9; bfi.{b} %{reg}4,%{reg}1,%{reg}2,%r7,%r9; {store} st.global.u64 [%rd9],%rd3; st.global.u64 [%rd9+8],%rd4; ret; }}"
        ));
        let c = d.empty(16 * 320);
        let mut r = Random(9);
        for pos in [0u32, 1, 5, 16, 31, 32, 33, 60, 63, 64, 200, 255, 256, 300] {
            let (x, y) = (r.next(), r.next());
            d.ok(shape(1, 320), &[x, y, u64::from(pos), c]);
            let got: Vec<u64> = d.read(c, 640);
            for len in 0..320u32 {
                let (p, l) = (pos & 255, len & 255);
                let m = if bits == 64 { u64::MAX } else { 0xffff_ffff };
                let (xv, yv) = (x & m, y & m);
                // As the PTX manual's pseudo code has it.
                let msb = bits - 1;
                let sbit = if !signed || l == 0 {
                    0
                } else {
                    xv >> (p + l - 1).min(msb) & 1
                };
                let mut e = 0u64;
                for i in 0..=msb {
                    e |= if i < l && p + i <= msb {
                        xv >> (p + i) & 1
                    } else {
                        sbit
                    } << i;
                }
                let mut f = yv;
                let mut i = 0;
                while i < l && p + i <= msb {
                    f = f & !(1 << (p + i)) | (xv >> i & 1) << (p + i);
                    i += 1;
                }
                assert_eq!(got[2 * len as usize], e, "bfe.{ty} {xv:#x} {pos} {len}");
                assert_eq!(got[2 * len as usize + 1], f, "bfi {pos} {len}");
            }
        }
    }
}

#[test]
fn conversions_that_saturate_or_narrow() {
    let n = 1024;
    let mut r = Random(11);
    let ints: Vec<i32> = (0..n).map(|_| r.edge() as i32).collect();
    let floats = f32s(n, 77);
    type Expected = fn(i32, f32) -> i32;
    let cases: &[(&str, &str, Expected)] = &[
        ("cvt.sat.u8.s32", "r", |i, _| i.clamp(0, 255)),
        ("cvt.sat.s8.s32", "r", |i, _| i.clamp(-128, 127)),
        ("cvt.sat.u16.s32", "r", |i, _| i.clamp(0, 65535)),
        ("cvt.sat.s16.s32", "r", |i, _| i.clamp(-32768, 32767)),
        ("cvt.sat.s16.u32", "r", |i, _| (i as u32).min(32767) as i32),
        ("cvt.sat.u32.s32", "r", |i, _| i.max(0)),
        ("cvt.sat.s32.u32", "r", |i, _| {
            (i as u32).min(i32::MAX as u32) as i32
        }),
        ("cvt.s8.s32", "r", |i, _| i as i8 as i32),
        ("cvt.u8.s32", "r", |i, _| i as u8 as i32),
        ("cvt.s16.s32", "r", |i, _| i as i16 as i32),
        ("cvt.u16.u32", "r", |i, _| i as u16 as i32),
        ("cvt.s32.s8", "r", |i, _| i as i8 as i32),
        ("cvt.s32.u8", "r", |i, _| i as u8 as i32),
        ("cvt.u32.s8", "r", |i, _| i as i8 as i32),
        ("cvt.s32.s16", "r", |i, _| i as i16 as i32),
        ("cvt.rzi.u8.f32", "f", |_, f| {
            if f.is_nan() {
                0
            } else {
                f.trunc().clamp(0.0, 255.0) as i32
            }
        }),
        ("cvt.rni.s8.f32", "f", |_, f| {
            if f.is_nan() {
                0
            } else {
                f.round_ties_even().clamp(-128.0, 127.0) as i32
            }
        }),
        ("cvt.rzi.s16.f32", "f", |_, f| {
            if f.is_nan() {
                0
            } else {
                f.trunc().clamp(-32768.0, 32767.0) as i32
            }
        }),
        ("cvt.rpi.u16.f32", "f", |_, f| {
            if f.is_nan() {
                0
            } else {
                f.ceil().clamp(0.0, 65535.0) as i32
            }
        }),
        ("cvt.rni.s32.f32", "f", |_, f| {
            if f.is_nan() {
                0
            } else {
                f.round_ties_even() as i32
            }
        }),
        ("cvt.rmi.ftz.s32.f32", "f", |_, f| {
            if f.is_nan() || f.is_subnormal() {
                0
            } else {
                f.floor() as i32
            }
        }),
        ("cvt.rpi.ftz.s32.f32", "f", |_, f| {
            if f.is_nan() || f.is_subnormal() {
                0
            } else {
                f.ceil() as i32
            }
        }),
    ];
    for (op, from, f) in cases {
        let mut d = Rig::new(&format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.entry k(.param .u64 a,.param .u64 b,.param .u64 c) {{ .reg .b32 %r<16>; .reg .f32 %f<4>; .reg .b64 %rd<16>; mov.u32 %r8,%ctaid.x; mov.u32 %r9,%tid.x; mad.lo.u32 %r8,%r8,32,%r9; ld.param.u64 %rd7,[a]; ld.param.u64 %rd8,[b]; ld.param.u64 %rd9,[c]; mul.wide.u32 %rd10,%r8,4; add.s64 %rd7,%rd7,%rd10; add.s64 %rd9,%rd9,%rd10; add.s64 %rd8,%rd8,%rd10; ld.global.u32 %r1,[%rd7]; ld.global.f32 %f1,[%rd8]; {op} %r2,%{from}1; st.global.u32 [%rd9],%r2; ret; }}"
        ));
        let (a, b, c) = (d.upload(&ints), d.upload(&floats), d.empty(4 * n as u64));
        d.ok(shape(32, 32), &[a, b, c]);
        for (i, got) in d.read::<i32>(c, n).into_iter().enumerate() {
            assert_eq!(
                got,
                f(ints[i], floats[i]),
                "{op} of {} / {:e}",
                ints[i],
                floats[i]
            );
        }
    }
}

#[test]
fn approximate_functions_flush_subnormals() {
    let n = 2048;
    let a = f32s(n, 61);
    for (op, f) in [
        ("ex2.approx.ftz.f32", (|x: f64| x.exp2()) as fn(f64) -> f64),
        ("lg2.approx.ftz.f32", |x| x.log2()),
        ("rcp.approx.ftz.f32", |x| 1.0 / x),
        ("sqrt.approx.ftz.f32", |x| x.sqrt()),
        ("rsqrt.approx.ftz.f32", |x| 1.0 / x.sqrt()),
        ("sin.approx.ftz.f32", |x| x.sin()),
        ("cos.approx.ftz.f32", |x| x.cos()),
        ("ex2.approx.f32", |x| x.exp2()),
        ("lg2.approx.f32", |x| x.log2()),
        ("rcp.rn.ftz.f32", |x| 1.0 / x),
        ("sqrt.rn.ftz.f32", |x| x.sqrt()),
        ("tanh.approx.f32", |x| x.tanh()),
        ("neg.ftz.f32", |x| -x),
        ("abs.ftz.f32", |x| x.abs()),
    ] {
        let mut d = Rig::new(&format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.entry k(.param .u64 a,.param .u64 c) {{ .reg .b32 %r<16>; .reg .f32 %f<4>; .reg .b64 %rd<16>; mov.u32 %r8,%ctaid.x; mov.u32 %r9,%tid.x; mad.lo.u32 %r8,%r8,32,%r9; ld.param.u64 %rd7,[a]; ld.param.u64 %rd9,[c]; mul.wide.u32 %rd10,%r8,4; add.s64 %rd7,%rd7,%rd10; add.s64 %rd9,%rd9,%rd10; ld.global.f32 %f1,[%rd7]; {op} %f2,%f1; st.global.f32 [%rd9],%f2; ret; }}"
        ));
        let (pa, c) = (d.upload(&a), d.empty(4 * n as u64));
        d.ok(shape(n as u32 / 32, 32), &[pa, c]);
        let ftz = op.contains("ftz");
        let z = |v: f32| {
            if ftz && v.is_subnormal() {
                0f32.copysign(v)
            } else {
                v
            }
        };
        for (i, got) in d.read::<f32>(c, n).into_iter().enumerate() {
            if (op.starts_with("sin") || op.starts_with("cos")) && a[i].abs() > 100.0 {
                continue;
            }
            let want = z(f(f64::from(z(a[i]))) as f32);
            assert!(
                same(got, want)
                    || (f64::from(got) - f64::from(want)).abs()
                        <= f64::from(want.abs()) * 2f64.powi(-22),
                "{op} of {:e}: {got:e}, expected {want:e}",
                a[i]
            );
        }
    }
}

#[test]
fn predicates_and_selections() {
    // setp with a second result and a combining predicate; selp, slct, set.
    let mut d = Rig::body(1, "setp.lt.and.s32 %p1|%p2, %r0, 10, %p0; setp.lt.s32 %p0,%r0,20; setp.gt.or.s32 %p3|%p4,%r0,15,!%p0; selp.b32 %r1,100,200,%p3; setp.ge.xor.u32 %p5|%p6,%r0,8,%p0; selp.u32 %r2,1,0,%p4; selp.u32 %r3,1,0,%p5; selp.u32 %r4,1,0,%p6; cvt.rn.f32.s32 %f1,%r0; add.f32 %f1,%f1,0fC1200000; slct.u32.f32 %r5,7,8,%f1; sub.s32 %r6,%r0,5; slct.s32.s32 %r7,30,40,%r6; set.lt.u32.s32 %r8,%r0,12; set.gt.f32.s32 %f2,%r0,3; cvt.rzi.s32.f32 %r9,%f2; and.pred %p7,%p3,!%p5; selp.u32 %r10,1,0,%p7;
        mad.lo.s32 %r11,%r2,10,%r1; mad.lo.s32 %r11,%r3,1000,%r11; mad.lo.s32 %r11,%r4,2000,%r11; mad.lo.s32 %r11,%r5,10000,%r11; mad.lo.s32 %r11,%r7,100000,%r11; and.b32 %r8,%r8,1; shl.b32 %r8,%r8,24; add.s32 %r11,%r11,%r8; shl.b32 %r9,%r9,25; add.s32 %r11,%r11,%r9; shl.b32 %r10,%r10,26; add.s32 %r11,%r11,%r10; add.s64 %rd1,%rd0,%rd9; st.global.u32 [%rd1],%r11;");
    let o = d.empty(128);
    d.ok(shape(1, 32), &[o]);
    for (t, got) in d.read::<i32>(o, 32).into_iter().enumerate() {
        let t = t as i32;
        let p0 = t < 20;
        let (p3, p4) = (t > 15 || !p0, t <= 15 || !p0);
        let (p5, p6) = ((t >= 8) ^ p0, (t < 8) ^ p0);
        let e = if p3 { 100 } else { 200 }
            + 10 * i32::from(p4)
            + 1000 * i32::from(p5)
            + 2000 * i32::from(p6)
            + 10000 * if t - 10 >= 0 { 7 } else { 8 }
            + 100000 * if t - 5 >= 0 { 30 } else { 40 }
            + (i32::from(t < 12) << 24)
            + (i32::from(t > 3) << 25)
            + (i32::from(p3 && !p5) << 26);
        assert_eq!(got, e, "{t}");
    }
}

#[test]
fn carries_between_words_of_64_bits() {
    let mut d = Rig::body(1, "mov.u64 %rd1,-1; mov.u64 %rd2,5; add.cc.u64 %rd3,%rd1,%rd2; addc.cc.u64 %rd4,%rd1,0; addc.u64 %rd5,%rd2,%rd2; sub.cc.u64 %rd6,%rd2,%rd1; subc.cc.u64 %rd7,%rd2,%rd2; subc.u64 %rd8,%rd2,0; mad.lo.cc.u64 %rd10,%rd1,%rd1,%rd1; madc.hi.cc.u64 %rd11,%rd1,%rd1,%rd1; addc.u64 %rd12,0,0;
      st.global.u64 [%rd0],%rd3; st.global.u64 [%rd0+8],%rd4; st.global.u64 [%rd0+16],%rd5; st.global.u64 [%rd0+24],%rd6; st.global.u64 [%rd0+32],%rd7; st.global.u64 [%rd0+40],%rd8; st.global.u64 [%rd0+48],%rd10; st.global.u64 [%rd0+56],%rd11; st.global.u64 [%rd0+64],%rd12;");
    let o = d.empty(72);
    d.ok(shape(1, 1), &[o]);
    let m = u128::from(u64::MAX);
    let lo = m * m + m;
    let hi = ((m * m) >> 64) + m + (((m * m) as u64 as u128 + m) >> 64);
    assert_eq!(
        d.read::<u64>(o, 9),
        [
            4,
            0,
            11,
            6,
            u64::MAX,
            4,
            lo as u64,
            hi as u64,
            (hi >> 64) as u64
        ]
    );
}

#[test]
fn a_predicate_may_be_a_constant() {
    // NVRTC writes `xor.pred %p, %q, -1` for a negation.
    let d = Rig::body(
        0,
        "setp.lt.u32 %p1,%r0,5; xor.pred %p2,%p1,-1; selp.u32 %r1,1,0,%p2;",
    );
    d.ok(shape(1, 32), &[]);
}

#[test]
fn masks_and_shift_amounts() {
    let mut rig = Rig::body(
        1,
        "mov.u32 %r1, 3; mov.u32 %r2, 5; mov.u32 %r3, 35; mov.u32 %r4, 0;
         bmsk.clamp.b32 %r5, %r1, %r2; bmsk.clamp.b32 %r6, %r3, %r2; bmsk.wrap.b32 %r7, %r3, %r2;
         bmsk.clamp.b32 %r8, %r1, %r3; bfind.shiftamt.u32 %r9, %r2; bfind.shiftamt.u32 %r10, %r4;
         st.global.v4.u32 [%rd0], {%r5, %r6, %r7, %r8}; st.global.v2.u32 [%rd0+16], {%r9, %r10};",
    );
    let out = rig.empty(24);
    rig.ok(shape(1, 1), &[out]);
    let expected = [0xf8, 0, 0xf8, !7, 29, u32::MAX];
    assert_eq!(rig.read::<u32>(out, 6), expected);
}

#[test]
fn relu_keeps_nan() {
    let mut rig = Rig::body(
        1,
        "mov.b16 %rs1, 0x7e00; mov.b16 %rs2, 0xbc00; mov.b16 %rs3, 0x3c00;
         fma.rn.relu.f16 %rs4, %rs1, %rs3, %rs3; fma.rn.relu.f16 %rs5, %rs2, %rs3, %rs2;
         st.global.b16 [%rd0], %rs4; st.global.b16 [%rd0+2], %rs5;",
    );
    let out = rig.empty(4);
    rig.ok(shape(1, 1), &[out]);
    assert_eq!(rig.read::<u16>(out, 2), [0x7fff, 0]);
}

#[test]
fn the_reciprocal_root_of_a_double_is_as_good_as_a_function_s() {
    let mut rig = Rig::body(
        1,
        "mov.f64 %fd1, 0d4008000000000000; rsqrt.approx.f64 %fd2, %fd1; st.global.f64 [%rd0], %fd2;",
    );
    let out = rig.empty(8);
    rig.ok(shape(1, 1), &[out]);
    let error = rig.read::<f64>(out, 1)[0] - 1.0 / 3f64.sqrt();
    assert!(error.abs() < 1e-15, "{error}");
}
