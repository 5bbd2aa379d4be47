//! `pinrail state export`: the lines as they come, checked on the way.

use std::io::Write as _;

use anyhow::Context as _;
use pinrail_api::spaces::{ExportHead, ExportTail};
use pinrail_domain::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::Eyes;
use super::records::seen_by;
use crate::cli::Context;
use crate::client::Query;
use crate::exit::Failed;
use crate::output::{progress, talk};

/// Follows an export's lines and knows at the end whether they are all there.
#[derive(Default)]
pub struct Check {
    hash: Sha256,
    pub head: Option<ExportHead>,
    lines: u64,
    tail: Option<ExportTail>,
}

pub fn run(space: &str, eyes: &Eyes, context: &Context) -> anyhow::Result<()> {
    let query = seen_by(Query::default().add("space", Some(space)), eyes);
    let bar = progress::bar("exporting records", 0);
    let mut check = Check::default();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    context.client.download::<anyhow::Error>(&query.on("/api/v1/state/export"), |line| {
        check.line(line)?;
        if let Some(head) = &check.head {
            bar.set_length(head.records);
        }
        bar.inc(1);
        Ok(out.write_all(line)?)
    })?;
    out.flush()?;
    bar.finish_and_clear();
    let tail = check.end()?;
    talk(&format!("{} records, {}", tail.lines, tail.sha256));
    Ok(())
}

impl Check {
    /// Takes in the next line, with its end; true where it is a record's.
    pub fn line(&mut self, line: &[u8]) -> anyhow::Result<bool> {
        if self.tail.is_some() {
            return Err(broken("something follows the last line"));
        }
        let is_first = self.head.is_none();
        if is_first {
            let head: ExportHead =
                serde_json::from_slice(line).context("the first line is not that of an export")?;
            if head.pinrail_space != 1 {
                return Err(broken("it is of a form that this version doesn't know"));
            }
            self.head = Some(head);
        } else if let Ok(tail) = serde_json::from_slice::<ExportTail>(line) {
            let found = Digest::from_bytes(self.hash.clone().finalize().into());
            if tail.sha256 != found || tail.lines != self.lines {
                return Err(broken("its lines are not those that were exported"));
            }
            self.tail = Some(tail);
            return Ok(false);
        } else {
            self.lines += 1;
        }
        self.hash.update(line);
        Ok(!is_first)
    }

    /// The last line; an error where it never came.
    pub fn end(&self) -> anyhow::Result<&ExportTail> {
        self.tail.as_ref().ok_or_else(|| broken("its end is missing"))
    }
}

fn broken(what: &str) -> anyhow::Error {
    let failed = Failed {
        code: "bad_export",
        what: format!("the export cannot be used: {what}"),
        next_step: "export the space again: `pinrail state export SPACE > FILE`".to_owned(),
        source: None,
    };
    failed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "{\"pinrail_space\":1,\"tenant\":\"t\",\"space\":\"context/k\",\"moment\":\"1.1\",\"records\":1}\n";
    const LINE: &str = "{\"key\":\"k\",\"value\":1}\n";

    fn file(lines: &[&str]) -> String {
        let text = lines.concat();
        let sha256 = Digest::of(text.as_bytes());
        format!("{text}{{\"lines\":{},\"sha256\":\"{sha256}\"}}\n", lines.len() - 1)
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_refused() {
        let check = |what: &str, text: &str, expected: bool| {
            let mut check = Check::default();
            let read = text.split_inclusive('\n').try_for_each(|line| check.line(line.as_bytes()).map(drop));
            assert_eq!(read.is_ok() && check.end().is_ok(), expected, "{what}");
        };
        let whole = file(&[HEAD, LINE]);
        check("whole", &whole, true);
        check("an empty space", &file(&[HEAD]), true);
        check("cut at a line", &[HEAD, LINE].concat(), false);
        check("cut in a line", &whole[..whole.len() - 5], false);
        check("a line is missing", &whole.replace(LINE, ""), false);
        check("a value was changed", &whole.replace("\"value\":1", "\"value\":2"), false);
        check("something follows", &format!("{whole}{LINE}"), false);
        check("no export", LINE, false);
        check("nothing", "", false);
    }
}
