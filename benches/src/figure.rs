//! Medians, spreads and ratios: the only place that computes them.

use serde::{Deserialize, Serialize};

/// The middle one of these numbers, or the mean of the two in the middle.
///
/// # Panics
/// If there is none.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// The difference of the largest and the smallest number, as a share of the median.
///
/// # Panics
/// If there is none.
pub fn spread(numbers: &[f64]) -> f64 {
    let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (most - least) / median(numbers)
}

/// The times of one contender for one operation, in all rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The section of the benchmark.
    pub section: String,
    /// The row in its table: the number of entries, for instance.
    pub row: String,
    /// The operation.
    pub operation: String,
    /// The contender.
    pub contender: String,
    /// A number for each round and turn.
    pub samples: Vec<f64>,
}

/// All figures, in the order in which they were first seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures(pub Vec<Figure>);

impl Figures {
    /// Adds a sample.
    pub fn add(&mut self, at: [&str; 4], sample: f64) {
        if let Some(figure) = self.0.iter_mut().find(|figure| figure.is(at)) {
            return figure.samples.push(sample);
        }
        let [section, row, operation, contender] = at.map(str::to_owned);
        self.0.push(Figure {
            section,
            row,
            operation,
            contender,
            samples: vec![sample],
        });
    }

    /// The median of a figure, if it was measured.
    pub fn median(&self, at: [&str; 4]) -> Option<f64> {
        let figure = self.0.iter().find(|figure| figure.is(at))?;
        Some(median(&figure.samples))
    }

    /// The ratio of two medians.
    pub fn ratio(&self, at: [&str; 4], to: [&str; 4]) -> Option<f64> {
        Some(self.median(at)? / self.median(to)?)
    }

    /// The median of the ratios of samples from the same round and turn: for two figures of
    /// one contender, which are measured shortly after each other and so disturbed alike.
    pub fn ratio_by_turns(&self, at: [&str; 4], to: [&str; 4]) -> Option<f64> {
        let [at, to] = [at, to].map(|at| self.0.iter().find(|figure| figure.is(at)));
        let ratios = (at?.samples.iter().zip(&to?.samples)).map(|(at, to)| at / to);
        Some(median(&ratios.collect::<Vec<_>>()))
    }

    /// The different names of a section's rows, operations or contenders, in the
    /// order in which they were first seen.
    pub fn names(&self, section: &str, name: impl Fn(&Figure) -> &String) -> Vec<String> {
        let mut names = Vec::new();
        for figure in self.0.iter().filter(|figure| figure.section == section) {
            if !names.contains(name(figure)) {
                names.push(name(figure).clone());
            }
        }
        names
    }
}

impl Figure {
    fn is(&self, at: [&str; 4]) -> bool {
        at == [&self.section, &self.row, &self.operation, &self.contender]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        close(median(&[3.0, 1.0, 100.0]), 3.0);
        close(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
        close(median(&[7.0]), 7.0);
        close(spread(&[4.0, 3.0, 5.0]), 0.5);
        close(spread(&[4.0]), 0.0);
    }

    #[test]
    fn a_ratio_is_one_of_medians() {
        let mut figures = Figures::default();
        for sample in [10.0, 90.0, 20.0] {
            figures.add(["s", "r", "o", "a"], sample);
        }
        figures.add(["s", "r", "o", "b"], 5.0);
        let ratio = figures.ratio(["s", "r", "o", "a"], ["s", "r", "o", "b"]);
        assert_eq!(ratio, Some(4.0));
        assert_eq!(
            figures.ratio(["s", "r", "o", "a"], ["s", "r", "o", "c"]),
            None
        );
        assert_eq!(figures.names("s", |figure| &figure.contender), ["a", "b"]);
    }

    #[test]
    fn a_ratio_by_turns_is_not_one_of_medians() {
        let mut figures = Figures::default();
        // The machine was slow in the second turn, and for the last sample of all.
        for (one, two) in [(10.0, 20.0), (3.0, 6.0), (11.0, 5.0)] {
            figures.add(["s", "1", "o", "a"], one);
            figures.add(["s", "2", "o", "a"], two);
        }
        let (one, two) = (["s", "1", "o", "a"], ["s", "2", "o", "a"]);
        assert_eq!(figures.ratio_by_turns(two, one), Some(2.0));
        assert_eq!(figures.ratio(two, one), Some(0.6));
        assert_eq!(figures.ratio_by_turns(two, ["s", "3", "o", "a"]), None);
    }
}
