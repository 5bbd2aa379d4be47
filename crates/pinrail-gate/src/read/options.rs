//! A test's `options`.

use super::foreign;
use super::script;
use super::table::Table;

/// What `options` says of a test.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// JavaScript, whole.
    pub transform: Option<String>,
    pub prefix: Option<String>,
    pub suffix: Option<String>,
    /// Lists of variables stay values.
    pub is_unexpanded: Option<bool>,
    /// `defaultTest`'s assertions don't count here.
    pub is_alone: Option<bool>,
}

impl Options {
    /// Reads `options` of a test.
    pub fn read(test: &Table<'_, '_>) -> Options {
        let Some(node) = test.get("options") else { return Options::default() };
        let Some(table) = Table::open(test.reading, node, &test.key_of("options")) else {
            return Options::default();
        };
        let options = Options {
            transform: script::transform(&table),
            prefix: table.text("prefix"),
            suffix: table.text("suffix"),
            is_unexpanded: table.flag("disableVarExpansion"),
            is_alone: table.flag("disableDefaultAsserts"),
        };
        table.close(foreign::OPTIONS);
        options
    }

    /// These, and where they say nothing those below.
    pub fn over(self, under: &Options) -> Options {
        Options {
            transform: self.transform.or_else(|| under.transform.clone()),
            prefix: self.prefix.or_else(|| under.prefix.clone()),
            suffix: self.suffix.or_else(|| under.suffix.clone()),
            is_unexpanded: self.is_unexpanded.or(under.is_unexpanded),
            is_alone: self.is_alone.or(under.is_alone),
        }
    }
}
