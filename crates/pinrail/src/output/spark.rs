//! Lines of small bars: how a number moved, in one row of text.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The values as bars, at most `width` of them, from the lowest value to the highest; a dot where there is none. Of values that
/// share a bar, the last one shows.
pub fn spark(values: &[Option<f64>], width: usize) -> String {
    let known = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let low = known().fold(f64::INFINITY, f64::min);
    let high = known().fold(f64::NEG_INFINITY, f64::max);
    let bars = values.len().min(width.max(1));
    let bar = |place: usize| {
        let Some(value) = values[(place + 1) * values.len() / bars - 1].filter(|value| value.is_finite())
        else {
            return '·';
        };
        let part = if high > low { (value - low) / (high - low) } else { 0.0 };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 7")]
        let step = (part * 7.0).round() as usize;
        BARS[step.min(7)]
    };
    (0..bars).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::spark;

    #[test]
    fn bars_go_from_the_lowest_to_the_highest() {
        let check = |values: &[Option<f64>], width: usize, expected: &str| {
            assert_eq!(spark(values, width), expected, "{values:?}");
        };
        check(&[], 10, "");
        check(&[Some(3.0)], 10, "▁");
        check(&[Some(0.0), None, Some(7.0), Some(3.0)], 10, "▁·█▄");
        check(&[Some(0.0), Some(1.0), Some(2.0), Some(3.0)], 2, "▃█");
        check(&[Some(f64::NAN), Some(-1.0), Some(1.0)], 10, "·▁█");
    }
}
