//! Sizes and lengths of time as people write them: `16MiB`, `90s`.
//!
//! A bare number of something has caused enough outages; a unit is part of the value. Only
//! whole numbers and one unit are read, so that each value has one obvious spelling, and each
//! type writes itself in a form that it reads back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::Said;

/// Why a value was not accepted; a sentence for the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub(super) Said);

impl ValueError {
    /// The sentence in both languages.
    pub fn said(self) -> Said {
        self.0
    }

    /// As an error of serde, which carries both.
    pub(super) fn carried<E: Error>(self) -> E {
        E::custom(self.0.carried())
    }
}

/// A number of bytes. Written `512KiB`, `16MiB`, `1GiB`, or as a plain whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A length of time. Written `250ms`, `90s`, `3m`, `2h` or `1d`; at most ten years, so that
/// adding it to a clock never overflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// Units of size, largest first.
const SIZES: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Units of time in milliseconds, largest first.
const TIMES: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest [`Span`] that is read, in milliseconds.
const SPAN_LIMIT: u64 = 3650 * 86_400_000;

/// Reads a whole number, optional spaces and one of the units.
fn measure(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes a value with the largest unit that leaves a whole number.
fn write_measure(
    f: &mut fmt::Formatter<'_>,
    value: u64,
    units: &[(&str, u64)],
    zero: &str,
) -> fmt::Result {
    if value == 0 {
        return f.write_str(zero);
    }
    let whole = units
        .iter()
        .find(|(_, factor)| value.is_multiple_of(*factor));
    let (unit, factor) = whole.copied().unwrap_or(("", 1));
    write!(f, "{}{unit}", value / factor)
}

impl ByteSize {
    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes for a buffer in memory; the largest possible when it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = text.trim().parse().ok();
        plain
            .or_else(|| measure(text, &SIZES))
            .map(Self)
            .ok_or_else(|| {
                ValueError(Said::new(
                    format!(
                        "'{text}' is not a size: write a whole number and B, KiB, MiB, GiB or \
                         TiB, as in \"16MiB\""
                    ),
                    format!(
                        "'{text}' no es un tamaño: escriba un número entero y B, KiB, MiB, GiB o \
                         TiB, por ejemplo \"16MiB\""
                    ),
                ))
            })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_measure(f, self.0, &SIZES, "0B")
    }
}

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let milliseconds = measure(text, &TIMES).ok_or_else(|| {
            ValueError(Said::new(
                format!(
                    "'{text}' is not a length of time: write a whole number and ms, s, m, h or \
                     d, as in \"90s\""
                ),
                format!(
                    "'{text}' no es un tiempo: escriba un número entero y ms, s, m, h o d, por \
                     ejemplo \"90s\""
                ),
            ))
        })?;
        if milliseconds > SPAN_LIMIT {
            return Err(ValueError(Said::new(
                format!("'{text}' is longer than ten years"),
                format!("'{text}' es más de diez años"),
            )));
        }
        Ok(Self(Duration::from_millis(milliseconds)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write_measure(f, milliseconds, &TIMES, "0s")
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"16MiB\" or a whole number of bytes")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<ByteSize, E> {
                u64::try_from(number).map(ByteSize).map_err(|_| {
                    let said = Said::new(
                        format!("{number} is not a size: it is negative"),
                        format!("{number} no es un tamaño: es negativo"),
                    );
                    ValueError(said).carried()
                })
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(ValueError::carried)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"90s\" or \"3m\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(ValueError::carried)
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_in_binary_units_or_as_plain_bytes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("7B", 7),
            ("512KiB", 512 << 10),
            ("16 MiB", 16 << 20),
            ("1GiB", 1 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in [
            "",
            "MiB",
            "16MB",
            "16mib",
            "-1",
            "1.5GiB",
            "16777216TiB",
            "1 2",
            "é",
        ] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_of_time_need_a_unit_and_stay_below_ten_years() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("3m", 180_000),
            ("0m", 0),
            ("2h", 7_200_000),
            ("1 d", 86_400_000),
        ] {
            let span = Span(Duration::from_millis(milliseconds));
            assert_eq!(text.parse(), Ok(span), "{text}");
        }
        for bad in [
            "",
            "90",
            "s",
            "-3m",
            "1.5h",
            "1h30m",
            "3651d",
            "99999999999999999999d",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_written_with_the_largest_unit_that_stays_whole() {
        assert_eq!(ByteSize(16 << 20).to_string(), "16MiB");
        assert_eq!(ByteSize(1025).to_string(), "1025B");
        assert_eq!(ByteSize(0).to_string(), "0B");
        assert_eq!(Span(Duration::from_secs(90)).to_string(), "90s");
        assert_eq!(Span(Duration::from_secs(7200)).to_string(), "2h");
        assert_eq!(Span(Duration::ZERO).to_string(), "0s");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_as_the_same(bytes: u64, ms in 0..=SPAN_LIMIT) {
            let size = ByteSize(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            let span = Span(Duration::from_millis(ms));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }

    #[test]
    fn a_negative_size_and_a_number_without_a_unit_of_time_are_refused() {
        #[derive(Debug, serde::Deserialize)]
        struct Values {
            #[serde(rename = "size")]
            _size: Option<ByteSize>,
            #[serde(rename = "span")]
            _span: Option<Span>,
        }
        let complaint = |text| toml::from_str::<Values>(text).unwrap_err().to_string();
        assert!(complaint("size = -1").contains("it is negative"));
        assert!(complaint("size = true").contains("expected a size such as"));
        assert!(complaint("span = 90").contains("expected a length of time such as"));
        assert!(toml::from_str::<Values>("size = 5\nspan = '5s'").is_ok());
    }
}
