//! Rounding that hardware does and Rust does not offer: to 16-bit formats and in the directed modes.

/// Rounding modes of PTX: `.rn`, `.rz`, `.rm`, `.rp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// To the nearest, ties to even.
    Nearest,
    /// Towards zero.
    Zero,
    /// Towards −∞.
    Down,
    /// Towards +∞.
    Up,
}

/// A binary floating-point format.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Stored bits of the significand.
    pub mantissa: u32,
    /// Bits of the exponent.
    pub exponent: u32,
}

/// IEEE binary16.
pub const F16: Format = Format {
    mantissa: 10,
    exponent: 5,
};
/// bfloat16.
pub const BF16: Format = Format {
    mantissa: 7,
    exponent: 8,
};
/// IEEE binary32.
pub const F32: Format = Format {
    mantissa: 23,
    exponent: 8,
};

/// Rounds `v` to `format` and returns its bits. NaN becomes the format's canonical NaN, as on the GPU.
pub fn narrow(v: f64, format: Format, round: Round) -> u64 {
    let Format { mantissa, exponent } = format;
    let infinity = ((1u64 << exponent) - 1) << mantissa;
    let sign = u64::from(v.is_sign_negative()) << (mantissa + exponent);
    if v.is_nan() {
        return infinity | ((1 << mantissa) - 1);
    }
    if v.is_infinite() {
        return sign | infinity;
    }
    let bits = v.to_bits() & !(1 << 63);
    if bits == 0 {
        return sign;
    }
    let bias = (1i64 << (exponent - 1)) - 1;
    // A subnormal f64 is far below every subnormal of a smaller format: as a number with sticky bits it
    // may stand as it is.
    let unbiased = ((bits >> 52) as i64).max(1) - 1023;
    let significand = if bits >> 52 == 0 {
        bits
    } else {
        bits & ((1 << 52) - 1) | 1 << 52
    };
    // Shift so that `mantissa` bits stay below the leading one, more for subnormal results.
    let below = (1 - bias - unbiased).max(0);
    let shift = (52 - i64::from(mantissa) + below).min(63) as u32;
    let kept = significand >> shift;
    let rest = significand & ((1 << shift) - 1);
    let half = 1u64 << (shift - 1);
    let up = match round {
        Round::Nearest => rest > half || (rest == half && kept & 1 == 1),
        Round::Zero => false,
        Round::Down => rest != 0 && sign != 0,
        Round::Up => rest != 0 && sign == 0,
    };
    let kept = kept + u64::from(up);
    // Adding the exponent field to a significand with its leading one carries into the exponent as it should.
    let magnitude = if below > 0 {
        kept
    } else {
        kept + (((unbiased + bias - 1) as u64) << mantissa)
    };
    if magnitude < infinity {
        return sign | magnitude;
    }
    let largest = match round {
        Round::Nearest => infinity,
        Round::Zero => infinity - 1,
        Round::Down if sign == 0 => infinity - 1,
        Round::Up if sign != 0 => infinity - 1,
        _ => infinity,
    };
    sign | largest
}

/// The rounding error of `a + b = sum`, exactly (Knuth's two-sum).
#[inline(always)]
fn error_of_sum(a: f64, b: f64, sum: f64) -> f64 {
    let part = sum - a;
    (a - (sum - part)) + (b - part)
}

/// `a + b` rounded to odd: when inexact, to the neighbour whose last bit is one. Rounding that again to a
/// format with at least two bits fewer gives what rounding the exact sum once gives.
#[inline(always)]
pub fn add_to_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let error = error_of_sum(a, b, sum);
    if error == 0.0 || !error.is_finite() || !sum.is_finite() || sum.to_bits() & 1 == 1 {
        return sum;
    }
    let away = (error > 0.0) == (sum > 0.0);
    f64::from_bits(if away {
        sum.to_bits() + 1
    } else {
        sum.to_bits() - 1
    })
}

/// `value`, which is the exact result less `error` rounded to nearest, moved to the directed neighbour.
#[inline(always)]
pub fn directed(value: f64, error: f64, round: Round) -> f64 {
    if error == 0.0 || !error.is_finite() || !value.is_finite() {
        return value;
    }
    match round {
        Round::Nearest => value,
        Round::Down if error < 0.0 => value.next_down(),
        Round::Up if error > 0.0 => value.next_up(),
        Round::Zero if value > 0.0 && error < 0.0 => value.next_down(),
        Round::Zero if value < 0.0 && error > 0.0 => value.next_up(),
        _ => value,
    }
}

/// `a + b` in f64.
#[inline(always)]
pub fn add(a: f64, b: f64, round: Round) -> f64 {
    let sum = a + b;
    if round == Round::Nearest {
        return sum;
    }
    if sum == 0.0 && a != 0.0 && round == Round::Down {
        return -0.0;
    }
    directed(sum, error_of_sum(a, b, sum), round)
}

/// `a · b + c` in f64.
#[inline(always)]
pub fn fma(a: f64, b: f64, c: f64, round: Round) -> f64 {
    let value = a.mul_add(b, c);
    if round == Round::Nearest {
        return value;
    }
    // a·b = high + low exactly; the error of the sum of three follows from two more two-sums.
    let high = a * b;
    let low = a.mul_add(b, -high);
    let sum = high + c;
    let rest = error_of_sum(high, c, sum);
    directed(value, (sum - value) + (rest + low), round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrowing_to_f32_agrees_with_the_cpu() {
        for v in [
            0.1,
            -0.1,
            1.0 + 2f64.powi(-24),
            1e-40,
            3e-46,
            3.4028235677973366e38,
            1e39,
            -1e-310,
            0.0,
        ] {
            assert_eq!(
                narrow(v, F32, Round::Nearest) as u32,
                (v as f32).to_bits(),
                "{v}"
            );
        }
    }

    #[test]
    fn narrowing_to_sixteen_bits_rounds_once() {
        // Just above a tie between two f16: rounding through f32 first would lose the difference.
        let v = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
        assert_eq!(narrow(v, F16, Round::Nearest), 0x3c01);
        assert_eq!(narrow(1.0 + 2f64.powi(-11), F16, Round::Nearest), 0x3c00);
        assert_eq!(narrow(65520.0, F16, Round::Nearest), 0x7c00);
        assert_eq!(narrow(65520.0, F16, Round::Zero), 0x7bff);
        assert_eq!(narrow(2f64.powi(-25), F16, Round::Nearest), 0);
        assert_eq!(narrow(2f64.powi(-24), F16, Round::Nearest), 1);
        assert_eq!(narrow(f64::NAN, BF16, Round::Nearest), 0x7fff);
    }

    #[test]
    fn directed_modes_bracket_the_exact_result() {
        let third = 1.0 / 3.0;
        assert!(add(1.0, third * 1e-17, Round::Up) > 1.0);
        assert_eq!(add(1.0, third * 1e-17, Round::Down), 1.0);
        assert!(f64::from_bits(add_to_odd(1.0, 1e-30).to_bits()) > 1.0);
    }
}
