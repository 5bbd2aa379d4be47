//! Small charts of one line: they say nothing that the numbers beside them don't say.

/// The newest `width` values as a line of blocks, the largest of them full.
pub fn spark(values: &[u64], width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let newest = &values[values.len().saturating_sub(width)..];
    let largest = newest.iter().copied().max().unwrap_or_default().max(1);
    let block = |value: &u64| {
        let place = (value * 8).div_ceil(largest).clamp(1, 8) - 1;
        BLOCKS[usize::try_from(place).unwrap_or_default()]
    };
    newest.iter().map(block).collect()
}

/// A share from 0 to 1 as a bar.
pub fn bar(share: f64, width: usize) -> String {
    let full = cell(share.clamp(0.0, 1.0), width);
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

/// What is known of a harm: the bounds `├──┤` on an axis with `0` and the margin `┊`. The axis ends where the farthest of
/// them is, at `extent` to both sides.
pub fn interval(low: f64, high: f64, margin: f64, width: usize) -> String {
    let extent = [low.abs(), high.abs(), margin.abs() * 1.5].into_iter().fold(f64::MIN_POSITIVE, f64::max);
    let place = |harm: f64| cell((harm / extent).mul_add(0.5, 0.5), width - 1).min(width - 1);
    let mut line = vec!['·'; width];
    let (from, to) = (place(low), place(high));
    for at in &mut line[from..=to] {
        *at = '─';
    }
    line[place(0.0)] = '0';
    line[place(margin)] = '┊';
    line[from] = '├';
    line[to] = '┤';
    line.into_iter().collect()
}

/// Which of `width` cells a share from 0 to 1 ends in.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a terminal's width"
)]
fn cell(share: f64, width: usize) -> usize {
    ((share * width as f64).round().max(0.0) as usize).min(width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_show_what_they_are_given() {
        assert_eq!(spark(&[], 5), "");
        assert_eq!(spark(&[9, 0, 4, 8], 3), "▁▄█");
        assert_eq!(bar(0.25, 8), "██░░░░░░");
        assert_eq!(bar(7.0, 4), "████");
        assert_eq!(interval(-0.1, 0.3, 0.1, 13), "····├─0─┊───┤");
        assert_eq!(interval(-0.2, 0.2, 0.1, 9), "├───0─┊─┤");
    }

    #[test]
    fn a_harm_without_bounds_stays_on_the_line() {
        for (low, high) in [(-1.0, 1.0), (0.0, 0.0), (f64::NAN, 2.0)] {
            assert_eq!(interval(low, high, 0.15, 20).chars().count(), 20, "{low} {high}");
        }
    }
}
