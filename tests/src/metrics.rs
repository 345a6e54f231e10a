//! Reads the text format of Prometheus just far enough to add up samples.
//!
//! Its own reader, because what is judged must not be read by the code that wrote it.

/// The sum of all samples of a metric whose labels include all of `labels`; `None` when there
/// is no such sample, which is not the same as zero.
#[must_use]
pub fn sum_of(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let wanted: Vec<String> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (own, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let own: Vec<&str> = own.split(',').collect();
        let fits = wanted.iter().all(|pair| own.contains(&pair.as_str()));
        fits.then(|| value.trim().parse::<f64>().ok()).flatten()
    });
    samples.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_with_the_wanted_labels_are_added_and_nothing_else() {
        let text = "# HELP a_total Things.\n# TYPE a_total counter\n\
                    a_total{route=\"push\",tenant=\"x\"} 3\na_total{route=\"push\",tenant=\"y\"} 4\n\
                    a_total_more{route=\"push\"} 90\nplain 5\n";
        assert_eq!(sum_of(text, "a_total", &[]), Some(7.0));
        assert_eq!(sum_of(text, "a_total", &[("tenant", "y")]), Some(4.0));
        assert_eq!(sum_of(text, "a_total", &[("tenant", "z")]), None);
        assert_eq!(sum_of(text, "plain", &[]), Some(5.0));
        assert_eq!(sum_of(text, "absent", &[]), None);
    }
}
