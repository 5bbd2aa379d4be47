//! Tells, while it comes in pieces, when a JSON object is over.

/// Reads the text of one object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Balance {
    depth: usize,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Balance {
    /// Reads on.
    pub fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    self.begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Whether an object has begun and every bracket of it is closed.
    pub fn is_whole(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_over_at_its_last_bracket() {
        let check = |pieces: &[&str], whole: bool| {
            let mut balance = Balance::default();
            pieces.iter().for_each(|piece| balance.feed(piece));
            assert_eq!(balance.is_whole(), whole, "{pieces:?}");
        };
        check(&[], false);
        check(&["{}"], true);
        check(&["{\"a\":\"}\"", "}"], true);
        check(&["{\"a\":\"}"], false);
        check(&["{\"a\":\"\\", "\"}\""], false);
        check(&["{\"a\":[{}]", "} "], true);
        check(&["\"a\""], false);
    }
}
