//! An axis as it is drawn: what it covers, where its ticks are and what they are called.

use super::super::model::{Axis, Scale};
use super::LETTER;
use crate::page::words;

/// Beyond this nothing is drawn: the width of a range must be a number too.
const LARGEST: f64 = 1e300;

impl Scale {
    /// Whether `value` has a place on such an axis.
    pub(super) fn admits(&self, value: f64) -> bool {
        let drawable = value.abs() <= LARGEST;
        match self {
            Self::Linear | Self::Percent => drawable,
            Self::Logarithmic => drawable && value >= 1.0 / LARGEST,
            Self::Named(names) => value >= 0.0 && value <= names.len() as f64 - 1.0,
        }
    }

    /// `value` as it is printed beside a mark.
    pub(super) fn words(&self, value: f64) -> String {
        match self {
            Self::Named(names) => (names.get(value.round() as usize).cloned())
                .unwrap_or_else(|| words::number(value, 0)),
            Self::Percent => format!("{}\u{a0}%", rounded(value * 100.0)),
            Self::Linear | Self::Logarithmic => rounded(value),
        }
    }
}

/// How the ends of a range are chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// At the outermost values.
    Exact,
    /// At the ticks around them.
    Ticks,
}

pub(super) struct Ruler {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Where the ends are drawn.
    from: f64,
    to: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Ruler {
    /// Covers all of `values`, which the axis's scale admits; `None` if there are none. Where it lies
    /// says [`Ruler::drawn`], since that depends on how wide the names of the ticks are.
    pub(super) fn covering(
        axis: &Axis,
        values: impl Iterator<Item = f64>,
        ends: Ends,
    ) -> Option<Self> {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return None;
        }
        Some(match &axis.scale {
            Scale::Linear => Self::linear(low, high, ends, 0),
            Scale::Percent => Self::linear(low, high, ends, 2),
            Scale::Logarithmic => Self::logarithmic(low, high),
            Scale::Named(names) => Self::named(names),
        })
    }

    fn new(low: f64, high: f64, ticks: Vec<(f64, String)>) -> Self {
        Self {
            low,
            high,
            logarithmic: false,
            from: 0.0,
            to: 1.0,
            ticks,
        }
    }

    /// Drawn from `from` to `to`.
    pub(super) fn drawn(mut self, from: f64, to: f64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    /// As [`Ruler::drawn`], and of the ticks only so many that their names fit side by side.
    pub(super) fn drawn_across(self, from: f64, to: f64) -> Self {
        let mut this = self.drawn(from, to);
        let width = (LETTER * this.label_letters() as f64 + 6.0) * this.ticks.len() as f64;
        let every = (width / (to - from)).ceil().max(1.0) as usize;
        let ticks = this.ticks.into_iter().step_by(every);
        this.ticks = ticks.collect();
        this
    }

    /// How many letters the longest name of a tick has.
    pub(super) fn label_letters(&self) -> usize {
        let letters = self.ticks.iter().map(|(_, name)| name.chars().count());
        letters.max().unwrap_or(0)
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        let along = |value: f64| {
            if self.logarithmic {
                value.log10()
            } else {
                value
            }
        };
        let (low, high) = (along(self.low), along(self.high));
        self.from + (along(value) - low) / (high - low) * (self.to - self.from)
    }

    /// Where zero is drawn, or the end nearest to it.
    pub(super) fn origin(&self) -> f64 {
        self.place(0.0_f64.clamp(self.low, self.high))
    }

    /// `percent` is 2 where a tick is called a hundred times its value, else 0.
    fn linear(mut low: f64, mut high: f64, ends: Ends, percent: i32) -> Self {
        let size = low.abs().max(high.abs());
        // Values this close look like one, and have no room for ticks between them.
        if high - low <= size * 1e-9 || high - low < 1.0 / LARGEST {
            let margin = if size < 1.0 / LARGEST {
                1.0
            } else {
                size / 10.0
            };
            (low, high) = (low - margin, high + margin);
        }
        let rough = (high - low) / 5.0;
        let decade = exponent(rough);
        let (step, digits) = match rough / power_of_ten(decade) {
            up_to if up_to <= 1.0 => (power_of_ten(decade), decade),
            up_to if up_to <= 2.0 => (2.0 * power_of_ten(decade), decade),
            up_to if up_to <= 5.0 => (5.0 * power_of_ten(decade), decade),
            _ => (power_of_ten(decade + 1), decade + 1),
        };
        // A value on a tick is not rounded to the next one.
        let (mut first, mut last) = (low / step, high / step);
        match ends {
            Ends::Exact => (first, last) = ((first - 1e-6).ceil(), (last + 1e-6).floor()),
            Ends::Ticks => {
                (first, last) = ((first + 1e-6).floor(), (last - 1e-6).ceil());
                (low, high) = (low.min(first * step), high.max(last * step));
            }
        }
        let plain = (-4..=5).contains(&digits) && size < 1e6;
        let ticks = (0..=(last - first) as usize).map(|tick| {
            let value = (first + tick as f64) * step;
            let name = if plain {
                let decimals = usize::try_from(-digits - percent).unwrap_or(0);
                words::number(value * power_of_ten(percent), decimals)
            } else {
                // Only a range of percentages that no error has comes here with `percent`.
                let shown = value * power_of_ten(percent);
                scientific(shown, (exponent(shown) - digits - percent).max(0) as usize)
            };
            (value, if percent > 0 { name + "\u{a0}%" } else { name })
        });
        Self::new(low, high, ticks.collect())
    }

    fn logarithmic(low: f64, high: f64) -> Self {
        let first = exponent(low);
        let mut last = exponent(high);
        if high > power_of_ten(last) || first == last {
            last += 1;
        }
        let every = (last - first + 5) / 6;
        let ticks = (first..=last).step_by(every as usize).map(|decade| {
            let name = match decade {
                0 => "1".to_owned(),
                _ => format!("10{}", superscript(decade)),
            };
            (power_of_ten(decade), name)
        });
        let ruler = Self::new(power_of_ten(first), power_of_ten(last), ticks.collect());
        Self {
            logarithmic: true,
            ..ruler
        }
    }

    fn named(names: &[String]) -> Self {
        let ticks = names.iter().enumerate();
        let ticks = ticks.map(|(at, name)| (at as f64, super::label(name, 120.0)));
        Self::new(-0.5, names.len() as f64 - 0.5, ticks.collect())
    }
}

/// The power of ten of the first digit. Read off the decimal text, which is exact and the same on
/// every machine, where a logarithm's last bit is not.
fn exponent(value: f64) -> i32 {
    let text = format!("{value:e}");
    let (_, exponent) = text.split_once('e').expect("this form has an exponent");
    exponent.parse().expect("and it is an integer")
}

fn power_of_ten(exponent: i32) -> f64 {
    let text = format!("1e{exponent}");
    text.parse().expect("this is how a number is written")
}

/// With two decimals, or three digits where that is fewer decimals or the value very small.
fn rounded(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    match exponent(value) {
        first @ -4..-2 => words::number(value, (2 - first) as usize),
        -2..=0 => words::number(value, 2),
        first @ 1..6 => words::number(value, usize::try_from(2 - first).unwrap_or(0)),
        _ => scientific(value, 2),
    }
}

fn scientific(value: f64, decimals: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:.decimals$e}");
    let (digits, exponent) = text.split_once('e').expect("this form has an exponent");
    let digits = digits.replace('-', words::MINUS);
    match exponent.parse().expect("and it is an integer") {
        0 => digits,
        exponent => format!("{digits}×10{}", superscript(exponent)),
    }
}

fn superscript(exponent: i32) -> String {
    let raised = |c: char| match c.to_digit(10) {
        Some(digit) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize],
        None => '⁻',
    };
    exponent.to_string().chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale) -> Axis {
        let label = String::new();
        Axis { label, scale }
    }

    fn names(scale: Scale, values: &[f64]) -> Vec<String> {
        let ruler = Ruler::covering(&axis(scale), values.iter().copied(), Ends::Ticks).unwrap();
        ruler.ticks.into_iter().map(|tick| tick.1).collect()
    }

    #[test]
    fn ticks_are_round_numbers_that_enclose_the_values() {
        let cases: [(&[f64], &[&str]); 4] = [
            (&[0.0, 1.0], &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (
                &[-1.7, 0.4],
                &["−2.0", "−1.5", "−1.0", "−0.5", "0.0", "0.5"],
            ),
            (&[3.0, 97.0], &["0", "20", "40", "60", "80", "100"]),
            (&[0.0, 3e7], &["0", "1×10⁷", "2×10⁷", "3×10⁷"]),
        ];
        for (values, expected) in cases {
            assert_eq!(names(Scale::Linear, values), expected, "{values:?}");
        }
        let shares = names(Scale::Percent, &[0.02, 0.09]);
        assert_eq!(
            shares,
            ["2\u{a0}%", "4\u{a0}%", "6\u{a0}%", "8\u{a0}%", "10\u{a0}%"]
        );
    }

    #[test]
    fn a_logarithmic_axis_has_decades() {
        assert_eq!(
            names(Scale::Logarithmic, &[2e-3, 5.0]),
            ["10⁻³", "10⁻²", "10⁻¹", "1", "10¹"]
        );
        assert_eq!(names(Scale::Logarithmic, &[1.0]), ["1", "10¹"]);
    }

    #[test]
    fn every_range_has_a_place_for_its_values_and_few_ticks() {
        let ranges = [
            [0.0, 0.0],
            [7.0, 7.0],
            [-LARGEST, LARGEST],
            [LARGEST, LARGEST],
            [1.0, 1.0 + f64::EPSILON],
            [1.0, 1.0 + 1e-8],
            [f64::MIN_POSITIVE, 2.0 * f64::MIN_POSITIVE],
            [1e-299, 3e-299],
            [-1e-5, 1e9],
        ];
        for scale in [Scale::Linear, Scale::Percent, Scale::Logarithmic] {
            for values in ranges {
                let drawn = values.into_iter().filter(|v| scale.admits(*v));
                for ends in [Ends::Exact, Ends::Ticks] {
                    let Some(ruler) = Ruler::covering(&axis(scale.clone()), drawn.clone(), ends)
                    else {
                        continue;
                    };
                    let ruler = ruler.drawn(100.0, 200.0);
                    assert!(
                        (1..=12).contains(&ruler.ticks.len()),
                        "{values:?}: {:?}",
                        ruler.ticks
                    );
                    let ticks = ruler.ticks.iter().map(|tick| tick.0);
                    for value in drawn.clone().chain(ticks) {
                        let place = ruler.place(value);
                        assert!(
                            (99.9..=200.1).contains(&place),
                            "{value} of {values:?}: {place}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_has_no_place_is_not_admitted() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
            assert!(
                !Scale::Linear.admits(value) && !Scale::Percent.admits(value),
                "{value}"
            );
        }
        assert!(!Scale::Logarithmic.admits(0.0) && !Scale::Logarithmic.admits(-1.0));
        let layers = Scale::Named(vec!["conv1".to_owned(), "fc8".to_owned()]);
        assert!(layers.admits(1.0) && !layers.admits(2.0) && !layers.admits(-0.5));
        assert!(!Scale::Named(Vec::new()).admits(0.0));
    }

    #[test]
    fn names_that_do_not_fit_side_by_side_are_left_out_evenly() {
        let layers: Vec<_> = (0..20).map(|layer| format!("layer {layer}")).collect();
        let axis = axis(Scale::Named(layers));
        let ruler = Ruler::covering(&axis, [0.0].into_iter(), Ends::Exact).unwrap();
        let shown = ruler.drawn_across(0.0, 400.0).ticks;
        let shown: Vec<_> = shown.into_iter().map(|tick| tick.1).collect();
        assert_eq!(
            shown,
            ["layer 0", "layer 4", "layer 8", "layer 12", "layer 16"]
        );
    }

    #[test]
    fn a_value_is_printed_as_short_as_it_is_read() {
        let cases = [
            (0.0, "0"),
            (0.02, "0.02"),
            (0.12345, "0.12"),
            (-12.345, "−12.3"),
            (98765.0, "98765"),
            (0.004782, "0.00478"),
            (1.5e-7, "1.50×10⁻⁷"),
            (2e12, "2.00×10¹²"),
        ];
        for (value, expected) in cases {
            assert_eq!(Scale::Linear.words(value), expected);
        }
        assert_eq!(Scale::Percent.words(0.0834), "8.34\u{a0}%");
    }
}
