//! Integer functions of CUDA C++ give what Rust's give. Needs NVRTC.

// Written as the expressions of CUDA C++ beside them are.
#![allow(clippy::precedence, clippy::manual_checked_ops)]

mod rig;

use rig::values::{Random, expression, map};

macro_rules! integer_case {
    ($name:ident, $a:ty, $ca:literal, $b:ty, $cb:literal, $r:ty, $cr:literal, $e:literal, $f:expr) => {
        #[test]
        #[ignore = "needs NVRTC: scripts/test-cuda-emulated.sh"]
        fn $name() {
            let mut r = Random(7);
            let a: Vec<$a> = (0..1024).map(|_| r.edge() as $a).collect();
            let b: Vec<$b> = (0..1024).map(|_| r.edge() as $b).collect();
            let got: Vec<$r> = map(&expression($ca, $cb, $cr, $e), &["--device-int128"], &a, &b);
            let f: fn($a, $b) -> $r = $f;
            for i in 0..1024 {
                assert_eq!(got[i], f(a[i], b[i]), "{:#x} {:#x}", a[i], b[i]);
            }
        }
    };
}

integer_case!(
    umul64hi,
    u64,
    "u64",
    u64,
    "u64",
    u64,
    "u64",
    "__umul64hi(x,y)",
    |x, y| ((x as u128 * y as u128) >> 64) as u64
);
integer_case!(
    mul64hi,
    i64,
    "i64",
    i64,
    "i64",
    i64,
    "i64",
    "__mul64hi(x,y)",
    |x, y| ((x as i128 * y as i128) >> 64) as i64
);
integer_case!(
    mulhi,
    i32,
    "int",
    i32,
    "int",
    i32,
    "int",
    "__mulhi(x,y)",
    |x, y| ((x as i64 * y as i64) >> 32) as i32
);
integer_case!(
    umulhi,
    u32,
    "u32",
    u32,
    "u32",
    u32,
    "u32",
    "__umulhi(x,y)",
    |x, y| ((x as u64 * y as u64) >> 32) as u32
);
integer_case!(
    div_u64,
    u64,
    "u64",
    u64,
    "u64",
    u64,
    "u64",
    "y? x/y+x%y : 1",
    |x, y| if y == 0 {
        1
    } else {
        (x / y).wrapping_add(x % y)
    }
);
integer_case!(
    div_i64,
    i64,
    "i64",
    i64,
    "i64",
    i64,
    "i64",
    "y && !(y==-1) ? x/y*3+x%y : 1",
    |x, y| if y == 0 || y == -1 {
        1
    } else {
        (x / y).wrapping_mul(3).wrapping_add(x % y)
    }
);
integer_case!(
    div_i32,
    i32,
    "int",
    i32,
    "int",
    i32,
    "int",
    "y && !(y==-1) ? x/y*3+x%y : 1",
    |x, y| if y == 0 || y == -1 {
        1
    } else {
        (x / y).wrapping_mul(3).wrapping_add(x % y)
    }
);
integer_case!(
    div_const_u64,
    u64,
    "u64",
    u64,
    "u64",
    u64,
    "u64",
    "x/3+y/7+x/10%1000+y%641+x/0x123456789ull",
    |x, y| (x / 3)
        .wrapping_add(y / 7)
        .wrapping_add(x / 10 % 1000)
        .wrapping_add(y % 641)
        .wrapping_add(x / 0x123456789)
);
integer_case!(
    div_const_i64,
    i64,
    "i64",
    i64,
    "i64",
    i64,
    "i64",
    "x/3+y/-7+x/10%1000+y%641+x/(1ll<<33)",
    |x, y| (x / 3)
        .wrapping_add(y / -7)
        .wrapping_add(x / 10 % 1000)
        .wrapping_add(y % 641)
        .wrapping_add(x / (1 << 33))
);
integer_case!(
    div_const_i32,
    i32,
    "int",
    i32,
    "int",
    i32,
    "int",
    "x/3+y/-7+x/10%1000+y%641+x/1024",
    |x, y| (x / 3)
        .wrapping_add(y / -7)
        .wrapping_add(x / 10 % 1000)
        .wrapping_add(y % 641)
        .wrapping_add(x / 1024)
);
integer_case!(
    div_small,
    u8,
    "u8",
    i8,
    "i8",
    i32,
    "int",
    "y? (x/y)*7+(i8)(x%y)+(u8)(y/3)+(u16)(x*y) : -1",
    |x, y| if y == 0 {
        -1
    } else {
        let (x, y) = (x as i32, y as i32);
        (x / y) * 7 + ((x % y) as i8 as i32) + ((y / 3) as u8 as i32) + ((x * y) as u16 as i32)
    }
);
integer_case!(
    int128,
    u64,
    "u64",
    u64,
    "u64",
    u64,
    "u64",
    "(u64)(((unsigned __int128)x*y+x)>>37) ^ (u64)(((unsigned __int128)x<<20)-y>>15)",
    |x, y| ((x as u128).wrapping_mul(y as u128).wrapping_add(x as u128) >> 37) as u64
        ^ (((x as u128) << 20).wrapping_sub(y as u128) >> 15) as u64
);
integer_case!(
    int128_signed_div,
    i64,
    "i64",
    i64,
    "i64",
    i64,
    "i64",
    "(i64)(((__int128)x*y)/1000003)",
    |x, y| ((x as i128 * y as i128) / 1000003) as i64
);
integer_case!(
    bits32,
    u32,
    "u32",
    u32,
    "u32",
    u32,
    "u32",
    "__clz(x)+__popc(y)*100+__ffs(x)*10000+(__brev(y)>>7)+__clzll((u64)x<<(y&31))",
    |x, y| (x.leading_zeros())
        .wrapping_add(y.count_ones() * 100)
        .wrapping_add(if x == 0 {
            0
        } else {
            (x.trailing_zeros() + 1) * 10000
        })
        .wrapping_add(y.reverse_bits() >> 7)
        .wrapping_add(((x as u64) << (y & 31)).leading_zeros())
);
integer_case!(
    bits64,
    u64,
    "u64",
    u64,
    "u64",
    u64,
    "u64",
    "__clzll(x)+__popcll(y)*100+__ffsll(x)*10000+(__brevll(y)>>7)",
    |x, y| (x.leading_zeros() as u64)
        .wrapping_add(y.count_ones() as u64 * 100)
        .wrapping_add(if x == 0 {
            0
        } else {
            (x.trailing_zeros() as u64 + 1) * 10000
        })
        .wrapping_add(y.reverse_bits() >> 7)
);
integer_case!(
    funnel,
    u64,
    "u64",
    u32,
    "u32",
    u32,
    "u32",
    "__funnelshift_l((u32)x,(u32)(x>>32),y)^__funnelshift_r((u32)x,(u32)(x>>32),y)*3^__funnelshift_lc((u32)x,(u32)(x>>32),y)*5^__funnelshift_rc((u32)x,(u32)(x>>32),y)*7",
    |x, y| {
        let l = |s: u32| (x << s >> 32) as u32;
        let rr = |s: u32| (x >> s) as u32;
        let lc = if y >= 32 { x as u32 } else { l(y) };
        let rc = if y >= 32 { (x >> 32) as u32 } else { rr(y) };
        l(y & 31) ^ rr(y & 31).wrapping_mul(3) ^ lc.wrapping_mul(5) ^ rc.wrapping_mul(7)
    }
);
integer_case!(
    byte_perm,
    u64,
    "u64",
    u32,
    "u32",
    u32,
    "u32",
    "__byte_perm((u32)x,(u32)(x>>32),y&0x7777)",
    |x, y| (0..4).fold(0, |o, i| o
        | (x.to_le_bytes()[(y >> (4 * i) & 7) as usize] as u32) << (8 * i))
);
integer_case!(
    sad_min_max_abs,
    i32,
    "int",
    i32,
    "int",
    i32,
    "int",
    "(int)__sad(x,y,7)+min(x,y)*3+max(x,y)*5+abs(x)+(int)__usad(x,y,1)+__mul24(x,y)+(int)__umul24(x,y)+__hadd(x,y)+__rhadd(x,y)+(int)__uhadd(x,y)",
    |x, y| {
        let s24 = |v: i32| (v << 8) >> 8;
        let u24 = |v: i32| v as u32 & 0xffffff;
        (x.abs_diff(y) as i32)
            .wrapping_add(7)
            .wrapping_add(x.min(y).wrapping_mul(3))
            .wrapping_add(x.max(y).wrapping_mul(5))
            .wrapping_add(x.wrapping_abs())
            .wrapping_add((x as u32).abs_diff(y as u32) as i32)
            .wrapping_add(1)
            .wrapping_add(s24(x).wrapping_mul(s24(y)))
            .wrapping_add(u24(x).wrapping_mul(u24(y)) as i32)
            .wrapping_add(((x as i64 + y as i64) >> 1) as i32)
            .wrapping_add(((x as i64 + y as i64 + 1) >> 1) as i32)
            .wrapping_add(((x as u32 as u64 + y as u32 as u64) >> 1) as i32)
    }
);
integer_case!(
    rotations_and_fields,
    u64,
    "u64",
    u32,
    "u32",
    u64,
    "u64",
    "(x<<(y&63)|x>>((64-(y&63))&63)) ^ ((x>>13)&0x1ff)*3 ^ (u64)(i64)((int)(x<<7)>>19)",
    |x, y| x.rotate_left(y & 63) ^ (x >> 13 & 0x1ff) * 3 ^ (((x << 7) as i32 >> 19) as i64 as u64)
);
integer_case!(
    dp4a,
    i32,
    "int",
    i32,
    "int",
    i32,
    "int",
    "__dp4a(x,y,100)+(int)__dp4a((u32)x,(u32)y,7u)",
    |x, y| (0..4).fold(107i32, |s, i| {
        let (a, b) = (x >> (8 * i), y >> (8 * i));
        s.wrapping_add(a as i8 as i32 * b as i8 as i32)
            .wrapping_add(a as u8 as i32 * b as u8 as i32)
    })
);
integer_case!(
    narrow_arithmetic,
    i16,
    "short",
    u16,
    "u16",
    i32,
    "int",
    "(short)(x+y)*3 + (u16)(x-y) + (x>>3) + (y>>3) + (x<y) + (short)(x*y) + (x&y|5) + -x + ~y",
    |x, y| {
        let (a, b) = (x as i32, y as i32);
        ((a + b) as i16 as i32 * 3)
            .wrapping_add((a - b) as u16 as i32)
            .wrapping_add(a >> 3)
            .wrapping_add(b >> 3)
            .wrapping_add((a < b) as i32)
            .wrapping_add(a.wrapping_mul(b) as i16 as i32)
            .wrapping_add(a & b | 5)
            .wrapping_add(-a)
            .wrapping_add(!b)
    }
);
