//! Numbers, sizes and times as people write them.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const UNITS: [(&str, u32); 5] = [
    ("KiB", 10),
    ("MiB", 20),
    ("GiB", 30),
    ("TiB", 40),
    ("PiB", 50),
];

/// Parses a size: `64MiB`, `4096`, `1.5GiB`, `64M` for `64MiB`, `10MB` in units of 1000.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.replace('_', "");
    let unit = unit.trim().to_ascii_lowercase();
    let binary = |letter: &str| "kmgtp".find(letter).map(|at| 1_u64 << (10 * (at + 1)));
    let decimal = |letter: &str| "kmgtp".find(letter).map(|at| 1000_u64.pow(at as u32 + 1));
    let factor = match unit.as_str() {
        "" | "b" => Some(1),
        unit => match (unit.get(..1), unit.get(1..)) {
            (Some(letter), Some("" | "ib")) => binary(letter),
            (Some(letter), Some("b")) => decimal(letter),
            _ => None,
        },
    };
    let wrong = || format!("{text:?} is not a size; write it as 4096, 64KiB, 1.5GiB or 10MB");
    let factor = factor.ok_or_else(wrong)?;
    let bytes = if let Ok(whole) = number.parse::<u64>() {
        whole.checked_mul(factor).ok_or_else(wrong)?
    } else {
        let part = number.contains('.').then(|| number.parse().ok());
        let part: f64 = part.flatten().ok_or_else(wrong)?;
        (part * factor as f64).round() as u64
    };
    usize::try_from(bytes).map_err(|_| wrong())
}

/// Parses a number: `1000000`, `1_000_000`, `50k`, `1.5M`, `2G`, in units of 1000.
pub(crate) fn parse_count(text: &str) -> Result<usize, String> {
    let plain = text.trim().replace('_', "").to_ascii_lowercase();
    let factor = plain
        .chars()
        .last()
        .and_then(|unit| "kmgt".find(unit))
        .map_or(1, |at| 1000_usize.pow(at as u32 + 1));
    let number = match factor {
        1 => &plain[..],
        _ => &plain[..plain.len() - 1],
    };
    let count = if let Ok(whole) = number.parse::<usize>() {
        whole.checked_mul(factor)
    } else {
        let part: Option<f64> = number.contains('.').then(|| number.parse().ok()).flatten();
        part.map(|part| part * factor as f64)
            .filter(|count| count.fract() == 0.0 && (0.0..1e15).contains(count))
            .map(|count| count as usize)
    };
    count.ok_or_else(|| {
        format!("{text:?} is not a number; write it as 50000, 50_000, 50k, 2M or 2G")
    })
}

/// Parses a number as [`parse_count`] does, but refuses 0.
pub(crate) fn parse_some(text: &str) -> Result<usize, String> {
    match parse_count(text)? {
        0 => Err("it must be at least 1".to_owned()),
        count => Ok(count),
    }
}

/// Parses a duration: `5s`, `1m30s`, `250ms`, or a number of seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 5s, 250ms or 1m30s"))
}

/// Parses permission bits in octal.
pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("{text:?} is not a mode; write it in octal, such as 600 or 660"))
}

/// Parses pairs of hexadecimal digits.
pub(crate) fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text:?} is not hexadecimal; write pairs of digits, such as 00ff");
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(wrong);
    pairs
        .iter()
        .map(|[high, low]| Ok((digit(*high)? << 4 | digit(*low)?) as u8))
        .collect()
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A size with at most four digits and a unit.
pub(crate) fn size(bytes: u64) -> String {
    let unit = UNITS.iter().rev().find(|(_, shift)| bytes >> shift > 0);
    let Some((unit, shift)) = unit else {
        return format!("{bytes} B");
    };
    let number = bytes as f64 / (1_u64 << shift) as f64;
    let digits = usize::from(number < 9.995) + usize::from(number < 99.95);
    format!("{number:.digits$} {unit}")
}

/// A number with commas between its thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of entries, in words.
pub(crate) fn some_entries(number: u64) -> String {
    match number {
        1 => "1 entry".to_owned(),
        number => format!("{} entries", count(number)),
    }
}

/// A duration in its largest unit: `45 s`, `12 min`, `3 h`, `9 d`.
pub(crate) fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// How long ago a moment was, which is given in nanoseconds since the Unix epoch.
pub(crate) fn since(nanoseconds: u64) -> Duration {
    let then = UNIX_EPOCH + Duration::from_nanos(nanoseconds);
    SystemTime::now().duration_since(then).unwrap_or_default()
}

/// A moment, given in nanoseconds since the Unix epoch, in the form of RFC 3339.
pub(crate) fn moment(nanoseconds: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_nanos(nanoseconds);
    humantime::format_rfc3339_seconds(then).to_string()
}

/// How many percent of a whole a part is.
pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("64k", 65_536),
            ("1.5 GiB", 3 << 29),
            ("10MB", 10_000_000),
            ("2_000", 2000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "1QiB", "-1", "1 KiBi", "99999999999999999999", "ä"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10 << 20, "10.0 MiB"),
            (150 << 30, "150 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(count(1_234_567), "1,234,567");
        for (text, number) in [
            ("50", 50),
            ("50_000", 50_000),
            ("50k", 50_000),
            ("2M", 2_000_000),
            ("1.5M", 1_500_000),
            ("2G", 2_000_000_000),
            ("1T", 1_000_000_000_000),
        ] {
            assert_eq!(parse_count(text), Ok(number), "{text}");
        }
        for text in ["", "k", "1.0001k", "-1", "2X", "99999999T", ".", "nan", "ä"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hexadecimal_is_read_and_written() {
        assert_eq!(parse_hex("0x00fF"), Ok(vec![0, 255]));
        assert_eq!(hex(&[0, 255]), "00ff");
        for text in ["0", "0g", "+1", "ä"] {
            assert!(parse_hex(text).is_err(), "{text}");
        }
    }
}
