//! Writing JSON in an order of our choice, with pieces of other JSON in it as they are.

/// An object that is being written.
#[derive(Debug)]
pub(super) struct Map(String);

/// An array that is being written.
#[derive(Debug)]
pub(super) struct List(String);

impl Map {
    pub fn new() -> Map {
        Map(String::from("{"))
    }

    /// An object with its `type`.
    pub fn of(kind: &str) -> Map {
        let mut map = Map::new();
        map.str("type", kind);
        map
    }

    pub fn str(&mut self, key: &str, text: &str) {
        self.raw(key, &quoted(text));
    }

    /// Writes a value that is JSON already.
    pub fn raw(&mut self, key: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(key));
        self.0.push(':');
        self.0.push_str(json);
    }

    pub fn flag(&mut self, key: &str, value: bool) {
        self.raw(key, if value { "true" } else { "false" });
    }

    pub fn str_if(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.str(key, text);
        }
    }

    pub fn raw_if(&mut self, key: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.raw(key, json);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// Adds the fields of another.
    pub fn merge(&mut self, other: Map) {
        if other.is_empty() {
            return;
        }
        if !self.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&other.0[1..]);
    }

    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

impl List {
    pub fn new() -> List {
        List(String::from("["))
    }

    /// Adds an item that is JSON already.
    pub fn push(&mut self, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(json);
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    pub fn end(mut self) -> String {
        self.0.push(']');
        self.0
    }
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}
