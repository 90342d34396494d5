//! Floating-point instructions.

use half::{bf16, f16};

use super::integer::{Compare, F1, F2, F3, compare, map1, map2, map3};
use super::rounding::Round;
use super::scalar::{Float, Two};

macro_rules! rounded {
    ($round:expr, $make:ident) => {
        match $round {
            Round::Nearest => $make!(Round::Nearest),
            Round::Zero => $make!(Round::Zero),
            Round::Down => $make!(Round::Down),
            Round::Up => $make!(Round::Up),
        }
    };
}

/// `neg`, `abs`.
pub fn unary<T: Float>(name: &str) -> Option<F1> {
    Some(match name {
        "neg" => |a| map1(a, T::negate),
        "abs" => |a| map1(a, T::absolute),
        _ => return None,
    })
}

/// `add`, `sub`, `mul`, `min`, `max` and the like.
pub fn binary<T: Float>(name: &str, round: Round) -> Option<F2> {
    macro_rules! add {
        ($r:expr) => {
            |a, b| map2(a, b, |x: T, y: T| T::add(x, y, $r))
        };
    }
    macro_rules! sub {
        ($r:expr) => {
            |a, b| map2(a, b, |x: T, y: T| T::add(x, y.negate(), $r))
        };
    }
    macro_rules! mul {
        ($r:expr) => {
            |a, b| map2(a, b, |x: T, y: T| T::mul(x, y, $r))
        };
    }
    Some(match name {
        "add" => rounded!(round, add),
        "sub" => rounded!(round, sub),
        "mul" => rounded!(round, mul),
        "min" => |a, b| map2(a, b, T::minimum),
        "max" => |a, b| map2(a, b, T::maximum),
        "min.NaN" => |a, b| map2(a, b, |x: T, y: T| nan_or(x, y, T::minimum)),
        "max.NaN" => |a, b| map2(a, b, |x: T, y: T| nan_or(x, y, T::maximum)),
        _ => return None,
    })
}

fn nan_or<T: Float>(x: T, y: T, f: impl Fn(T, T) -> T) -> T {
    if x.widen().is_nan() || y.widen().is_nan() {
        T::narrow(f64::NAN, Round::Nearest)
    } else {
        f(x, y)
    }
}

/// `fma`.
pub fn ternary<T: Float>(name: &str, round: Round) -> Option<F3> {
    macro_rules! fma {
        ($r:expr) => {
            |a, b, c| map3(a, b, c, |x: T, y: T, z: T| T::fma(x, y, z, $r))
        };
    }
    Some(match name {
        "fma" => rounded!(round, fma),
        "fma.relu" => |a, b, c| {
            map3(a, b, c, |x: T, y: T, z: T| {
                nan_or(
                    T::fma(x, y, z, Round::Nearest),
                    T::narrow(0.0, Round::Nearest),
                    T::maximum,
                )
            })
        },
        _ => return None,
    })
}

/// The same on two 16-bit values at once.
pub mod pairs {
    use super::*;

    /// `neg`, `abs`.
    pub fn unary<T: Float>(name: &str) -> Option<F1> {
        Some(match name {
            "neg" => |a| map1(a, |x: Two<T>| Two(x.0.negate(), x.1.negate())),
            "abs" => |a| map1(a, |x: Two<T>| Two(x.0.absolute(), x.1.absolute())),
            _ => return None,
        })
    }

    /// `add`, `sub`, `mul`, `min`, `max`.
    pub fn binary<T: Float>(name: &str) -> Option<F2> {
        macro_rules! both {
            ($f:expr) => {
                |a, b| map2(a, b, |x: Two<T>, y: Two<T>| Two($f(x.0, y.0), $f(x.1, y.1)))
            };
        }
        Some(match name {
            "add" => both!(|x, y| T::add(x, y, Round::Nearest)),
            "sub" => both!(|x, y: T| T::add(x, y.negate(), Round::Nearest)),
            "mul" => both!(|x, y| T::mul(x, y, Round::Nearest)),
            "min" => both!(T::minimum),
            "max" => both!(T::maximum),
            "min.NaN" => both!(|x, y| nan_or(x, y, T::minimum)),
            "max.NaN" => both!(|x, y| nan_or(x, y, T::maximum)),
            _ => return None,
        })
    }

    /// `fma`.
    pub fn ternary<T: Float>(name: &str) -> Option<F3> {
        Some(match name {
            "fma" => |a, b, c| {
                map3(a, b, c, |x: Two<T>, y: Two<T>, z: Two<T>| {
                    Two(
                        T::fma(x.0, y.0, z.0, Round::Nearest),
                        T::fma(x.1, y.1, z.1, Round::Nearest),
                    )
                })
            },
            _ => return None,
        })
    }
}

/// Division, roots and the special functions of f32, computed in f64 and rounded: closer to the true
/// value than PTX asks of the `.approx` forms.
pub fn special_f32(name: &str, round: Round) -> Option<F1> {
    macro_rules! rcp {
        ($r:expr) => {
            |a| map1(a, |x: f32| f32::narrow(recip_odd(f64::from(x)), $r))
        };
    }
    macro_rules! sqrt {
        ($r:expr) => {
            |a| map1(a, |x: f32| f32::narrow(f64::from(x).sqrt(), $r))
        };
    }
    Some(match name {
        "rcp" => rounded!(round, rcp),
        "sqrt" => rounded!(round, sqrt),
        "rsqrt" => |a| map1(a, |x: f32| (1.0 / f64::from(x).sqrt()) as f32),
        "ex2" => |a| map1(a, |x: f32| f64::from(x).exp2() as f32),
        "lg2" => |a| map1(a, |x: f32| f64::from(x).log2() as f32),
        "sin" => |a| map1(a, |x: f32| f64::from(x).sin() as f32),
        "cos" => |a| map1(a, |x: f32| f64::from(x).cos() as f32),
        "tanh" => |a| map1(a, |x: f32| f64::from(x).tanh() as f32),
        _ => return None,
    })
}

fn recip_odd(x: f64) -> f64 {
    1.0 / x
}

/// Roots and reciprocals of f64.
pub fn special_f64(name: &str) -> Option<F1> {
    Some(match name {
        "rcp" => |a| map1(a, |x: f64| 1.0 / x),
        "sqrt" => |a| map1(a, f64::sqrt),
        "rsqrt" => |a| map1(a, |x: f64| 1.0 / x.sqrt()),
        // `rcp.approx.ftz.f64` and its like keep the upper 32 bits only.
        "rcp.approx" => |a| {
            map1(a, |x: f64| {
                f64::from_bits((1.0 / x).to_bits() & !0xffff_ffff)
            })
        },
        "rsqrt.approx" => |a| {
            map1(a, |x: f64| {
                f64::from_bits((1.0 / x.sqrt()).to_bits() & !0xffff_ffff)
            })
        },
        _ => return None,
    })
}

/// `ex2.approx` and `tanh.approx` on 16-bit types.
pub fn special_16(name: &str, brain: bool) -> Option<F1> {
    Some(match (name, brain) {
        ("ex2", false) => |a| map1(a, |x: f16| f16::narrow(x.widen().exp2(), Round::Nearest)),
        ("ex2", true) => |a| map1(a, |x: bf16| bf16::narrow(x.widen().exp2(), Round::Nearest)),
        ("tanh", false) => |a| map1(a, |x: f16| f16::narrow(x.widen().tanh(), Round::Nearest)),
        ("tanh", true) => |a| map1(a, |x: bf16| bf16::narrow(x.widen().tanh(), Round::Nearest)),
        _ => return None,
    })
}

/// `div` of f32 and f64.
pub fn divide(double: bool, round: Round) -> F2 {
    macro_rules! div {
        ($r:expr) => {
            |a, b| {
                map2(a, b, |x: f32, y: f32| {
                    f32::narrow(f64::from(x) / f64::from(y), $r)
                })
            }
        };
    }
    if double {
        return |a, b| map2(a, b, |x: f64, y: f64| x / y);
    }
    match round {
        Round::Nearest => |a, b| map2(a, b, |x: f32, y: f32| x / y),
        _ => rounded!(round, div),
    }
}

/// Comparisons; the `u` forms are true when either side is NaN.
pub fn comparison<T: Float>(name: &str) -> Option<Compare> {
    Some(match name {
        "eq" => |a, b| compare(a, b, |x: T, y: T| x == y),
        "ne" => |a, b| compare(a, b, |x: T, y: T| x != y && x.partial_cmp(&y).is_some()),
        "lt" => |a, b| compare(a, b, |x: T, y: T| x < y),
        "le" => |a, b| compare(a, b, |x: T, y: T| x <= y),
        "gt" => |a, b| compare(a, b, |x: T, y: T| x > y),
        "ge" => |a, b| compare(a, b, |x: T, y: T| x >= y),
        "equ" => |a, b| compare(a, b, |x: T, y: T| x == y || x.partial_cmp(&y).is_none()),
        "neu" => |a, b| compare(a, b, |x: T, y: T| x != y),
        "ltu" => |a, b| compare(a, b, |x: T, y: T| x < y || x.partial_cmp(&y).is_none()),
        "leu" => |a, b| compare(a, b, |x: T, y: T| x <= y || x.partial_cmp(&y).is_none()),
        "gtu" => |a, b| compare(a, b, |x: T, y: T| x > y || x.partial_cmp(&y).is_none()),
        "geu" => |a, b| compare(a, b, |x: T, y: T| x >= y || x.partial_cmp(&y).is_none()),
        "num" => |a, b| compare(a, b, |x: T, y: T| x.partial_cmp(&y).is_some()),
        "nan" => |a, b| compare(a, b, |x: T, y: T| x.partial_cmp(&y).is_none()),
        _ => return None,
    })
}
