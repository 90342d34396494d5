//! Integer instructions, one lane function an instruction and type.

use super::scalar::{Lanes, Scalar, WARP};

/// One operand.
pub type F1 = fn(&Lanes) -> Lanes;
/// Two operands.
pub type F2 = fn(&Lanes, &Lanes) -> Lanes;
/// Three operands.
pub type F3 = fn(&Lanes, &Lanes, &Lanes) -> Lanes;
/// Four operands.
pub type F4 = fn(&Lanes, &Lanes, &Lanes, &Lanes) -> Lanes;
/// A comparison; bit `i` of the result is lane `i`.
pub type Compare = fn(&Lanes, &Lanes) -> u32;

/// Applies `f` in every lane.
#[inline(always)]
pub fn map1<A: Scalar, R: Scalar>(a: &Lanes, f: impl Fn(A) -> R) -> Lanes {
    std::array::from_fn(|i| f(A::unpack(a[i])).pack())
}

/// Applies `f` in every lane.
#[inline(always)]
pub fn map2<A: Scalar, B: Scalar, R: Scalar>(a: &Lanes, b: &Lanes, f: impl Fn(A, B) -> R) -> Lanes {
    std::array::from_fn(|i| f(A::unpack(a[i]), B::unpack(b[i])).pack())
}

/// Applies `f` in every lane.
#[inline(always)]
pub fn map3<A: Scalar, B: Scalar, C: Scalar, R: Scalar>(
    a: &Lanes,
    b: &Lanes,
    c: &Lanes,
    f: impl Fn(A, B, C) -> R,
) -> Lanes {
    std::array::from_fn(|i| f(A::unpack(a[i]), B::unpack(b[i]), C::unpack(c[i])).pack())
}

/// Compares in every lane.
#[inline(always)]
pub fn compare<A: Scalar>(a: &Lanes, b: &Lanes, f: impl Fn(A, A) -> bool) -> u32 {
    let mut mask = 0;
    for i in 0..WARP {
        mask |= u32::from(f(A::unpack(a[i]), A::unpack(b[i]))) << i;
    }
    mask
}

/// What instructions need of an integer type.
pub trait Int: Scalar + Ord {
    /// Twice as wide, for `mul.wide` and `mul.hi`.
    type Wide: Scalar;
    #[allow(missing_docs)]
    const BITS: u32;
    #[allow(missing_docs)]
    fn add(self, b: Self) -> Self;
    #[allow(missing_docs)]
    fn sub(self, b: Self) -> Self;
    #[allow(missing_docs)]
    fn mul(self, b: Self) -> Self;
    #[allow(missing_docs)]
    fn mul_high(self, b: Self) -> Self;
    #[allow(missing_docs)]
    fn mul_wide(self, b: Self) -> Self::Wide;
    /// Division by zero gives all ones, which PTX leaves open.
    fn div(self, b: Self) -> Self;
    /// The remainder of division by zero is the dividend, which PTX leaves open.
    fn rem(self, b: Self) -> Self;
    #[allow(missing_docs)]
    fn neg(self) -> Self;
    #[allow(missing_docs)]
    fn abs(self) -> Self;
    /// Shifts by more than the width give what shifting bit by bit gives.
    fn shl(self, by: u32) -> Self;
    #[allow(missing_docs)]
    fn shr(self, by: u32) -> Self;
    /// `bfe`: the field of `len` bits from `pos`, sign-extended for signed types.
    fn field(self, pos: u32, len: u32) -> Self;
}

macro_rules! int {
    ($($t:ty, $wide:ty, $huge:ty, $abs:expr, $signed:expr;)*) => {$(
        impl Int for $t {
            type Wide = $wide;
            const BITS: u32 = <$t>::BITS;
            #[inline(always)] fn add(self, b: Self) -> Self { self.wrapping_add(b) }
            #[inline(always)] fn sub(self, b: Self) -> Self { self.wrapping_sub(b) }
            #[inline(always)] fn mul(self, b: Self) -> Self { self.wrapping_mul(b) }
            #[inline(always)] fn mul_high(self, b: Self) -> Self { ((self as $huge * b as $huge) >> Self::BITS) as $t }
            #[inline(always)] fn mul_wide(self, b: Self) -> $wide { (self as $wide).wrapping_mul(b as $wide) }
            #[inline(always)] fn div(self, b: Self) -> Self { if b == 0 { !0 } else { self.wrapping_div(b) } }
            #[inline(always)] fn rem(self, b: Self) -> Self { if b == 0 { self } else { self.wrapping_rem(b) } }
            #[inline(always)] fn neg(self) -> Self { self.wrapping_neg() }
            #[inline(always)] fn abs(self) -> Self { ($abs)(self) }
            #[inline(always)] fn shl(self, by: u32) -> Self { self.checked_shl(by).unwrap_or(0) }
            #[inline(always)] fn shr(self, by: u32) -> Self { self >> by.min(Self::BITS - 1) >> (u32::from(by >= Self::BITS)) }
            fn field(self, pos: u32, len: u32) -> Self {
                let (pos, len) = (pos & 0xff, len & 0xff);
                if len == 0 { return 0; }
                let top = pos.saturating_add(len).min(Self::BITS);
                let sign = $signed && self >> (top - 1) & 1 != 0;
                if pos >= Self::BITS { return if sign { !0 } else { 0 }; }
                let kept = top - pos;
                let fill = if sign && kept < Self::BITS { (!0 as $t).shl(kept) } else { 0 };
                let mask = if kept >= Self::BITS { !0 } else { !((!0 as $t).shl(kept)) };
                self >> pos & mask | fill
            }
        }
    )*};
}

int! {
    u16, u32, u64, |v| v, false;
    u32, u64, u64, |v| v, false;
    u64, u64, u128, |v| v, false;
    i16, i32, i64, i16::wrapping_abs, true;
    i32, i64, i64, i32::wrapping_abs, true;
    i64, i64, i128, i64::wrapping_abs, true;
}

/// `neg`, `abs`.
pub fn unary<T: Int>(name: &str) -> Option<F1> {
    Some(match name {
        "neg" => |a| map1(a, T::neg),
        "abs" => |a| map1(a, T::abs),
        _ => return None,
    })
}

/// Instructions with two operands of one type.
pub fn binary<T: Int>(name: &str) -> Option<F2> {
    Some(match name {
        "add" => |a, b| map2(a, b, T::add),
        "sub" => |a, b| map2(a, b, T::sub),
        "mul.lo" => |a, b| map2(a, b, T::mul),
        "mul.hi" => |a, b| map2(a, b, T::mul_high),
        "mul.wide" => |a, b| map2(a, b, T::mul_wide),
        "div" => |a, b| map2(a, b, T::div),
        "rem" => |a, b| map2(a, b, T::rem),
        "min" => |a, b| map2(a, b, |x: T, y: T| x.min(y)),
        "max" => |a, b| map2(a, b, |x: T, y: T| x.max(y)),
        "shl" => |a, b| map2(a, b, |x: T, by: u32| x.shl(by)),
        "shr" => |a, b| map2(a, b, |x: T, by: u32| x.shr(by)),
        _ => return None,
    })
}

/// Instructions with three operands.
pub fn ternary<T: Int>(name: &str) -> Option<F3> {
    Some(match name {
        "mad.lo" => |a, b, c| map3(a, b, c, |x: T, y: T, z: T| x.mul(y).add(z)),
        "mad.hi" => |a, b, c| map3(a, b, c, |x: T, y: T, z: T| x.mul_high(y).add(z)),
        "mad.wide" => |a, b, c| {
            map3(a, b, c, |x: T, y: T, z: u64| {
                let mask = if T::BITS == 16 { 0xffff_ffff } else { !0 };
                x.mul_wide(y).pack().wrapping_add(z) & mask
            })
        },
        "sad" => |a, b, c| {
            map3(a, b, c, |x: T, y: T, z: T| {
                z.add(if x < y { y.sub(x) } else { x.sub(y) })
            })
        },
        "bfe" => |a, b, c| map3(a, b, c, |x: T, pos: u32, len: u32| x.field(pos, len)),
        _ => return None,
    })
}

/// Comparisons of `setp` and `set`.
pub fn comparison<T: Scalar + PartialOrd>(name: &str) -> Option<Compare> {
    Some(match name {
        "eq" => |a, b| compare(a, b, |x: T, y: T| x == y),
        "ne" => |a, b| compare(a, b, |x: T, y: T| x != y),
        "lt" | "lo" => |a, b| compare(a, b, |x: T, y: T| x < y),
        "le" | "ls" => |a, b| compare(a, b, |x: T, y: T| x <= y),
        "gt" | "hi" => |a, b| compare(a, b, |x: T, y: T| x > y),
        "ge" | "hs" => |a, b| compare(a, b, |x: T, y: T| x >= y),
        _ => return None,
    })
}

/// `prmt.b32` in its default mode: each nibble of the selector picks a byte, its top bit copies the sign.
pub fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = u64::from(b) << 32 | u64::from(a);
    (0..4).fold(0, |out, i| {
        let pick = selector >> (4 * i) & 0xf;
        let byte = (bytes >> (8 * (pick & 7))) as u8;
        let byte = if pick & 8 != 0 {
            ((byte as i8) >> 7) as u8
        } else {
            byte
        };
        out | u32::from(byte) << (8 * i)
    })
}

/// `bfi`: the low `len` bits of `a` placed at `pos` of `b`.
pub fn insert(a: u64, b: u64, pos: u32, len: u32, bits: u32) -> u64 {
    let (pos, len) = (pos & 0xff, len & 0xff);
    if len == 0 || pos >= bits {
        return b;
    }
    let len = len.min(bits - pos);
    let mask = (if len >= 64 { !0 } else { (1u64 << len) - 1 }) << pos;
    b & !mask | a << pos & mask
}

/// `lop3.b32`: a truth table over three inputs.
pub fn lop3(a: u32, b: u32, c: u32, table: u32) -> u32 {
    let mut out = 0;
    for (bit, x, y, z) in [
        (0, !a, !b, !c),
        (1, !a, !b, c),
        (2, !a, b, !c),
        (3, !a, b, c),
        (4, a, !b, !c),
        (5, a, !b, c),
        (6, a, b, !c),
        (7, a, b, c),
    ] {
        if table >> bit & 1 == 1 {
            out |= x & y & z;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_fields_clamp_as_ptx_says() {
        assert_eq!(0xabcdu32.field(4, 8), 0xbc);
        assert_eq!((-1i32).field(28, 8), -1);
        assert_eq!(0x80i32.field(4, 4), -8);
        assert_eq!(5u32.field(0, 0), 0);
        assert_eq!(5u64.field(0, 64), 5);
        assert_eq!(insert(0xf, 0, 30, 4, 32), 0xc000_0000);
    }

    #[test]
    fn permute_and_lop3_follow_their_tables() {
        assert_eq!(permute(0x3322_1100, 0x7766_5544, 0x5410), 0x5544_1100);
        assert_eq!(permute(0x0000_0080, 0, 0x0008), 0x8080_80ff);
        assert_eq!(
            lop3(0b1100, 0b1010, 0b0110, 0x96) & 0xf,
            0b1100 ^ 0b1010 ^ 0b0110
        );
    }

    #[test]
    fn shifts_beyond_the_width_are_clamped() {
        assert_eq!(1u32.shl(32), 0);
        assert_eq!(u32::MAX.shr(40), 0);
        assert_eq!((-8i32).shr(40), -1);
        assert_eq!(i32::MIN.div(-1), i32::MIN);
    }
}
