//! From byte offsets to lines and columns.

use std::ops::Range;

/// Where the lines of a file begin.
#[derive(Debug)]
pub struct Lines<'f> {
    bytes: &'f [u8],
    starts: Vec<usize>,
}

impl<'f> Lines<'f> {
    #[must_use]
    pub fn of(bytes: &'f [u8]) -> Lines<'f> {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', bytes).map(|at| at + 1)).collect();
        Lines { bytes, starts }
    }

    /// The line of an offset, from 1.
    #[must_use]
    pub fn line(&self, at: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|start| *start <= at)).unwrap_or(u32::MAX)
    }

    /// The column of an offset, from 1, in UTF-16 code units. A byte order mark takes no column.
    #[must_use]
    pub fn column(&self, at: usize) -> u32 {
        let start = self.starts[self.line(at) as usize - 1];
        let before = &self.bytes[start..at.clamp(start, self.bytes.len())];
        let before = if start == 0 { before.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(before) } else { before };
        let units = String::from_utf8_lossy(before).chars().map(char::len_utf16).sum::<usize>();
        u32::try_from(units + 1).unwrap_or(u32::MAX)
    }

    /// A line without its end, by its number from 1; empty when there is no such line.
    #[must_use]
    pub fn text(&self, line: u32) -> &'f [u8] {
        let Some(range) = self.range(line) else { return &[] };
        let text = &self.bytes[range];
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        text.strip_suffix(b"\r").unwrap_or(text)
    }

    fn range(&self, line: u32) -> Option<Range<usize>> {
        let index = (line as usize).checked_sub(1)?;
        let start = *self.starts.get(index)?;
        Some(start..self.starts.get(index + 1).copied().unwrap_or(self.bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn columns_count_what_an_editor_counts() {
        let check = |text: &str, needle: &str, expected: (u32, u32)| {
            let at = text.find(needle).unwrap();
            let lines = Lines::of(text.as_bytes());
            assert_eq!((lines.line(at), lines.column(at)), expected, "{text:?}");
        };
        check("x", "x", (1, 1));
        check("ab\r\ncx", "x", (2, 2));
        check("é𝄞x", "x", (1, 4));
        check("\u{FEFF}x", "x", (1, 1));
        check("\n\n  x\n", "x", (3, 3));
        assert_eq!(Lines::of(b"a\r\nb\n").text(1), b"a");
        assert_eq!(Lines::of(b"a\r\nb\n").text(9), b"");
    }
}
