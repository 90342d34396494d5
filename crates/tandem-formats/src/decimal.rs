//! Numbers that people wrote.

/// The decimal number that was meant by an f32, in place of the nearest f64 to that f32: 0.0001, not
/// 0.0000999999974…
pub(crate) fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
