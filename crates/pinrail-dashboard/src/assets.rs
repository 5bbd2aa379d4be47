//! The files under `/assets/`, which are part of the binary.

use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

/// A file.
#[derive(Debug)]
pub struct Asset {
    pub name: &'static str,
    pub content_type: &'static str,
    pub bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The library and its extension for server-sent events, as one file: the library looks through the page as soon as it has run,
/// and an extension that came after that would be too late.
const HTMX: &str = concat!(include_str!("../assets/htmx.js"), "\n", include_str!("../assets/hx-sse.js"));

static ASSETS: [Asset; 6] = [
    Asset { name: "pinrail.css", content_type: CSS, bytes: include_bytes!("../assets/pinrail.css") },
    Asset { name: "pinrail.js", content_type: JS, bytes: include_bytes!("../assets/pinrail.js") },
    Asset { name: "htmx.js", content_type: JS, bytes: HTMX.as_bytes() },
    Asset { name: "uplot.js", content_type: JS, bytes: include_bytes!("../assets/uplot.js") },
    Asset { name: "uplot.css", content_type: CSS, bytes: include_bytes!("../assets/uplot.css") },
    Asset { name: "mark.svg", content_type: "image/svg+xml", bytes: include_bytes!("../assets/mark.svg") },
];

/// The file of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// What changes with any of the files: part of their addresses, so that browsers may keep them for good.
#[must_use]
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let hashes: Vec<u8> = ASSETS.iter().flat_map(|asset| xxh3_64(asset.bytes).to_le_bytes()).collect();
        format!("{:08x}", xxh3_64(&hashes) >> 32)
    });
    &VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_found_by_name_and_ask_nobody_else() {
        assert_eq!(find("pinrail.css").unwrap().content_type, CSS);
        assert!(find("../Cargo.toml").is_none());
        assert_eq!(version().len(), 8);
        for asset in &ASSETS {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            assert!(!text.contains("sourceMappingURL"), "{}", asset.name);
            assert!(!text.contains("@import") && !text.contains("url(http"), "{}", asset.name);
        }
    }
}
