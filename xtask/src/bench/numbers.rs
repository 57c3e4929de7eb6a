//! Numbers of several rounds as one cell: their median, the least and the most, in three digits that matter.

/// Least first.
pub(super) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Median, least and most of sorted values, in one cell.
pub(super) fn spread(values: &[f64]) -> String {
    match values {
        [] => String::new(),
        [value] => number(*value),
        [least, .., most] => format!("{} ({} to {})", number(median(values)), number(*least), number(*most)),
    }
}

/// Three digits that matter, and no more than three after the point.
pub(super) fn number(value: f64) -> String {
    let places = match value.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

/// Of sorted values; the mean of the middle two where their number is even.
pub(super) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}
