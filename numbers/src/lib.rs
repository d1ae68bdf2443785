//! Numbers as the Python package and the command know them: how they are added, how they
//! compare, and what a float is as a key.
//!
//! Both write the same tables, so both must say the same of `1 + 0.5`, of 2^63 beside a float,
//! and of `1`, `1.0` and `True` as keys.

use std::cmp::Ordering;

/// A number of a table: an integer that 64 bits hold, signed or unsigned, or a float.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer. Only sums and differences exceed 64 bits, and are refused.
    Integer(i128),
    /// A float.
    Float(f64),
}

impl Number {
    /// The sum as Python computes it: an integer of two integers, otherwise a float. `None` if
    /// an integer exceeds 64 bits.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        if let (Self::Integer(a), Self::Integer(b)) = (self, other) {
            let sum = a.checked_add(b)?;
            let fits = (i64::MIN.into()..=u64::MAX.into()).contains(&sum);
            return fits.then_some(Self::Integer(sum));
        }
        Some(Self::Float(self.to_float() + other.to_float()))
    }

    /// How the number compares with another one, exactly, as in Python. `None` for a NaN.
    #[must_use]
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Integer(a), Self::Float(b)) => compare_exactly(a, b),
            (Self::Float(a), Self::Integer(b)) => compare_exactly(b, a).map(Ordering::reverse),
        }
    }

    /// The nearest float.
    fn to_float(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

fn compare_exactly(integer: i128, float: f64) -> Option<Ordering> {
    // A float beyond an `i128` becomes its greatest or least, which is on the same side.
    let whole = float.trunc();
    let rest = whole.partial_cmp(&float)?;
    Some(integer.cmp(&(whole as i128)).then(rest))
}

/// A float as a key. Equal keys are one key: `1.0` is the key `1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FloatKey {
    /// The integer that equals the float. It may exceed 64 bits.
    Integer(i128),
    /// No integer equals the float: it has a fraction, or is infinite.
    Float(f64),
    /// An integer equals the float, and has more than 127 bits.
    Large,
    /// A NaN, which equals no key.
    NotANumber,
}

impl From<f64> for FloatKey {
    fn from(value: f64) -> Self {
        // 2^127: exact, and the first that an `i128` doesn't hold.
        const LARGE: f64 = (1_u128 << 127) as f64;
        if value.is_nan() {
            Self::NotANumber
        } else if value.fract() != 0.0 || value.is_infinite() {
            Self::Float(value)
        } else if value.abs() < LARGE {
            Self::Integer(value as i128)
        } else {
            Self::Large
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number::{Float, Integer};
    use super::*;

    const MAX: i128 = u64::MAX as i128;
    const MIN: i128 = i64::MIN as i128;

    #[test]
    fn integers_stay_integers_within_64_bits() {
        assert_eq!(Integer(2).plus(Integer(3)), Some(Integer(5)));
        assert_eq!(Integer(MAX - 1).plus(Integer(1)), Some(Integer(MAX)));
        assert_eq!(Integer(MAX).plus(Integer(1)), None);
        assert_eq!(Integer(MIN).plus(Integer(-1)), None);
    }

    #[test]
    fn a_float_makes_the_sum_a_float() {
        assert_eq!(Integer(1).plus(Float(0.5)), Some(Float(1.5)));
        assert_eq!(Float(0.5).plus(Integer(1)), Some(Float(1.5)));
        assert_eq!(Float(1.0).plus(Float(1.0)), Some(Float(2.0)));
    }

    /// 2^53 + 1 has no float of its own; a comparison of floats would call it equal to 2^53.
    #[test]
    fn an_integer_compares_with_a_float_exactly() {
        let (exact, next) = (1_i128 << 53, (1_i128 << 53) + 1);
        let float = Float((1_u64 << 53) as f64);
        assert_eq!(Integer(exact).compare(float), Some(Ordering::Equal));
        assert_eq!(Integer(next).compare(float), Some(Ordering::Greater));
        assert_eq!(float.compare(Integer(next)), Some(Ordering::Less));
        for (integer, float, order) in [
            (1, 1.5, Ordering::Less),
            (-1, -1.5, Ordering::Greater),
            (2, 1.5, Ordering::Greater),
            (MAX, f64::INFINITY, Ordering::Less),
            (MIN, f64::NEG_INFINITY, Ordering::Greater),
            (MAX, 1e300, Ordering::Less),
        ] {
            assert_eq!(Integer(integer).compare(Float(float)), Some(order));
        }
        assert_eq!(Integer(1).compare(Float(f64::NAN)), None);
        assert_eq!(Float(f64::NAN).compare(Float(1.0)), None);
    }

    #[test]
    fn a_float_without_a_fraction_is_its_integer_as_a_key() {
        assert_eq!(FloatKey::from(-0.0), FloatKey::Integer(0));
        assert_eq!(FloatKey::from(-3.0), FloatKey::Integer(-3));
        assert_eq!(FloatKey::from(2_f64.powi(64)), FloatKey::Integer(MAX + 1));
        assert_eq!(
            FloatKey::from(-(2_f64.powi(126))),
            FloatKey::Integer(-(1 << 126))
        );
        assert_eq!(FloatKey::from(2_f64.powi(127)), FloatKey::Large);
        assert_eq!(FloatKey::from(0.5), FloatKey::Float(0.5));
        assert_eq!(
            FloatKey::from(f64::INFINITY),
            FloatKey::Float(f64::INFINITY)
        );
        assert_eq!(FloatKey::from(f64::NAN), FloatKey::NotANumber);
    }
}
