//! Durations and sizes as people write them: a whole number and a unit. A number without a unit is refused,
//! so that nothing needs guessing.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest duration that a config may name: a year. It keeps every sum of an instant and a duration in
/// range.
pub const LONGEST: Duration = Duration::from_hours(365 * 24);

/// The largest size that a config may name: 1 TiB.
pub const LARGEST: u64 = 1 << 40;

/// A duration such as `"250ms"`, `"3s"`, `"10m"`, `"1h"` or `"30d"`, at most [`LONGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(pub Duration);

/// A number of bytes such as `"512B"`, `"64KiB"`, `"16MiB"` or `"1GiB"`, at most [`LARGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

/// Why a text is neither a duration nor a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// It is not a whole number followed by one of the units.
    #[error("is not a whole number followed by a unit ({units})")]
    Form {
        /// The units that may follow the number.
        units: &'static str,
    },
    /// It is larger than the router accepts.
    #[error("is more than {most}")]
    TooLarge {
        /// The largest value accepted.
        most: &'static str,
    },
}

const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for TimeSpan {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let too_large = UnitError::TooLarge { most: "a year (365d)" };
        match amount(text, &TIME_UNITS) {
            None => Err(UnitError::Form { units: "ms, s, m, h, d" }),
            Some(Amount::Fits(ms)) if Duration::from_millis(ms) <= LONGEST => {
                Ok(Self(Duration::from_millis(ms)))
            }
            Some(_) => Err(too_large),
        }
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let too_large = UnitError::TooLarge { most: "1024GiB" };
        match amount(text, &SIZE_UNITS) {
            None => Err(UnitError::Form { units: "B, KiB, MiB, GiB" }),
            Some(Amount::Fits(bytes)) if bytes <= LARGEST => {
                usize::try_from(bytes).map(Self).map_err(|_| too_large)
            }
            Some(_) => Err(too_large),
        }
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_amount(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &TIME_UNITS)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_amount(f, u64::try_from(self.0).unwrap_or(u64::MAX), &SIZE_UNITS)
    }
}

enum Amount {
    Fits(u64),
    Overflows,
}

/// The number in the smallest unit; `None` where the text has another form.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<Amount> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    if number.is_empty() {
        return None;
    }
    let product = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor));
    Some(product.map_or(Amount::Overflows, Amount::Fits))
}

/// Writes the amount in the largest unit that divides it.
fn write_amount(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    let exact = |(_, factor): &&(&str, u64)| amount != 0 && amount.is_multiple_of(*factor);
    match units.iter().find(exact) {
        Some((unit, factor)) => write!(f, "{}{unit}", amount / factor),
        None => write!(f, "0{}", units.last().map_or("", |(unit, _)| unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_unit_is_understood() {
        let time = |text: &str| text.parse::<TimeSpan>().unwrap().0;
        assert_eq!(time("250ms"), Duration::from_millis(250));
        assert_eq!(time("3s"), Duration::from_secs(3));
        assert_eq!(time("10m"), Duration::from_mins(10));
        assert_eq!(time("1h"), Duration::from_hours(1));
        assert_eq!(time("30d"), Duration::from_hours(720));
        assert_eq!("512B".parse(), Ok(ByteSize(512)));
        assert_eq!("64KiB".parse(), Ok(ByteSize(65_536)));
        assert_eq!("16MiB".parse(), Ok(ByteSize(16_777_216)));
        assert_eq!("1GiB".parse(), Ok(ByteSize(1 << 30)));
    }

    #[test]
    fn a_number_without_a_unit_or_with_a_foreign_one_is_refused() {
        for text in ["", "3", "s", "3 s", "-3s", "1.5s", "1h30m", "3S", "3 ", "٣s"] {
            assert_eq!(
                text.parse::<TimeSpan>(),
                Err(UnitError::Form { units: "ms, s, m, h, d" }),
                "{text:?}"
            );
        }
        for text in ["", "64", "KiB", "64KB", "64kib", "64 KiB", "-1B"] {
            assert_eq!(
                text.parse::<ByteSize>(),
                Err(UnitError::Form { units: "B, KiB, MiB, GiB" }),
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_computed_with_is_refused() {
        for text in ["8761h", "99999999999999999999s", "18446744073709551615h"] {
            assert!(matches!(text.parse::<TimeSpan>(), Err(UnitError::TooLarge { .. })), "{text}");
        }
        assert!(matches!("1025GiB".parse::<ByteSize>(), Err(UnitError::TooLarge { .. })));
        assert_eq!("8760h".parse(), Ok(TimeSpan(LONGEST)));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(ms in 0..=31_536_000_000_u64, bytes in 0..=1_usize << 40) {
            let span = TimeSpan(Duration::from_millis(ms));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
    }
}
