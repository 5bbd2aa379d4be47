//! `release.toml` → manifest and artifacts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{McpServerName, ProviderName, ReleaseId, ToolName};
use pinrail_domain::mcp::Pin;
use pinrail_domain::release::{
    ContextContract, Embedder, FORMAT, Fallback, Manifest, MemoryContract, ModelPin, PromptPin,
    StateContract, ToolPin,
};

use super::section::{Params, Section, read_text};
use super::{ARTIFACT_BYTES_MAX, mcp, tools};

/// A release as the files say it, not created yet.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub id: ReleaseId,
    pub manifest: Manifest,
    pub artifacts: BTreeMap<Digest, Artifact>,
    /// The line that names the model's snapshot.
    pub snapshot_line: Option<usize>,
}

/// A file's bytes as they are stored.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The file, from the agent's folder.
    pub file: PathBuf,
    pub bytes: Vec<u8>,
}

/// Reads a release whose paths are taken from `folder` and stay inside it.
pub fn read(file: &Section<'_>, folder: &Path) -> Option<Prepared> {
    let mut artifacts = BTreeMap::new();
    if !file.has("model") {
        file.refuse_whole("the table [model] is missing: it names provider and snapshot");
    }
    let mut snapshot_line = None;
    let model = file.table("model", |section| {
        snapshot_line = section.line("snapshot");
        model(section)
    });
    let prompt = file.table("prompt", |section| prompt(section, folder, &mut artifacts));
    let tools = file.table("tools", |section| tools_of(section, folder, &mut artifacts));
    let state = file.table("state", state);
    let manifest = Manifest {
        pinrail: FORMAT,
        model: model?,
        prompt: prompt.unwrap_or_default(),
        tools: tools.unwrap_or_default(),
        state: state.unwrap_or_default(),
    };
    if let Err(bad) = manifest.check() {
        file.refuse_whole(&bad.to_string());
        return None;
    }
    let id = manifest.id().ok()?;
    Some(Prepared { id, manifest, artifacts, snapshot_line })
}

fn model(section: &Section<'_>) -> Option<ModelPin> {
    let provider: Option<ProviderName> = section.need("provider");
    let snapshot = section.need("snapshot");
    let params: Params = section.json("params").unwrap_or_default();
    let weights = section.get("weights");
    let fallbacks = section.list("fallbacks", |fallback| {
        let (provider, snapshot) = (fallback.need("provider"), fallback.need("snapshot"));
        let params: Option<Params> = fallback.json("params");
        Some(Fallback { provider: provider?, snapshot: snapshot?, params })
    });
    let lossy = section.get("lossy").unwrap_or_default();
    Some(ModelPin { provider: provider?, snapshot: snapshot?, params, weights, fallbacks, lossy })
}

fn prompt(
    section: &Section<'_>,
    folder: &Path,
    artifacts: &mut BTreeMap<Digest, Artifact>,
) -> Option<PromptPin> {
    let mode = section.get("mode").unwrap_or_default();
    let text = file_at(section, "system", folder);
    let system = text.map(|(file, text)| keep(artifacts, file, text.into_bytes()));
    Some(PromptPin { system, mode })
}

fn tools_of(
    section: &Section<'_>,
    folder: &Path,
    artifacts: &mut BTreeMap<Digest, Artifact>,
) -> Option<ToolPin> {
    let pins = pins(section, folder);
    let side_effects: BTreeSet<ToolName> = section.get("side_effects").unwrap_or_default();
    let read = file_at(section, "schema", folder).and_then(|(file, text)| match tools::read(&text) {
        Ok(tools) => Some((file, tools)),
        Err(what) => {
            section.refuse("schema", &format!("names {}, which {what}", file.display()));
            None
        }
    });
    let names = names(section, read.as_ref().map_or(&[], |(_, tools)| &tools.names), &pins);
    // Without readable tools their own faults say enough.
    let all_read = read.is_some() == section.has("schema") && pins.is_some() == section.has("mcp");
    if all_read {
        for missing in side_effects.iter().filter(|tool| !names.contains(tool)) {
            let like = super::nearest(missing.as_str(), names.iter().map(|name| name.as_str()));
            let hint = like.map(|like| format!("; did you mean `{like}`?")).unwrap_or_default();
            let what = format!("names `{missing}`, which is not a tool of `schema` or `mcp`{hint}");
            section.refuse("side_effects", &what);
        }
    }
    let mut mcp = BTreeMap::new();
    for (server, pin) in pins.unwrap_or_default() {
        match pin.to_vec() {
            Ok(bytes) => {
                mcp.insert(server.clone(), keep(artifacts, mcp::pin_file(&server), bytes));
            }
            Err(bad) => section.refuse("mcp", &format!("names `{server}`, whose pin is refused: {bad}")),
        }
    }
    let schema = read.map(|(file, tools)| keep(artifacts, file, tools.bytes));
    Some(ToolPin { schema, side_effects, mcp })
}

/// The pins that `mcp` names; none where one can't be read.
fn pins(section: &Section<'_>, folder: &Path) -> Option<BTreeMap<McpServerName, Pin>> {
    let named: Vec<String> = section.get("mcp")?;
    let mut pins = BTreeMap::new();
    let mut whole = true;
    for name in named {
        let read = if name.contains("://") {
            Err("is an address: give the server a name in pinrail.toml ([mcp.NAME] url = …), run \
                 `pinrail tools pin AGENT --mcp NAME`, and write that name here"
                .to_owned())
        } else {
            McpServerName::new(&name).map_err(|bad| bad.to_string()).and_then(|server| {
                let pin = mcp::read_pin(folder, &server).map_err(|what| {
                    format!(
                        "whose pin {} {what}; `pinrail tools pin` makes it",
                        mcp::pin_file(&server).display()
                    )
                })?;
                Ok((server, pin))
            })
        };
        match read {
            Ok((server, pin)) => {
                pins.insert(server, pin);
            }
            Err(what) => {
                section.refuse("mcp", &format!("names `{name}`, {what}"));
                whole = false;
            }
        }
    }
    whole.then_some(pins)
}

/// The names of all tools; one that comes twice is a fault, since a model couldn't tell them apart.
fn names<'t>(
    section: &Section<'_>,
    schema: &'t [ToolName],
    pins: &'t Option<BTreeMap<McpServerName, Pin>>,
) -> BTreeSet<&'t ToolName> {
    let mut names: BTreeSet<&ToolName> = schema.iter().collect();
    for (server, pin) in pins.iter().flatten() {
        for tool in &pin.tools {
            if !names.insert(&tool.name) {
                let what = format!("names `{server}`, whose tool `{}` there is already", tool.name);
                section.refuse("mcp", &what);
            }
        }
    }
    names
}

fn state(section: &Section<'_>) -> Option<StateContract> {
    let vectors = section.each("vectors", |name, space| {
        let (embedder, dims, metric) = (space.need("embedder"), space.need("dims"), space.need("metric"));
        let (provider, endpoint, revision) =
            (space.get("provider"), space.get("endpoint"), space.get("revision"));
        let (pooling, normalisation) = (space.get("pooling"), space.get("normalisation"));
        let prefix = space.get("prefix");
        let (embedder, dims, metric) = (embedder?, dims?, metric?);
        let embedder =
            Embedder { embedder, dims, metric, provider, endpoint, revision, pooling, normalisation, prefix };
        Some((name.to_owned(), embedder))
    });
    let memory = section.table("memory", |memory| Some(MemoryContract { schema: memory.need("schema")? }));
    let context = section.table("context", |context| {
        let protocol = context.need("protocol");
        let accepts: Option<BTreeSet<u32>> = context.get("accepts");
        let protocol = protocol?;
        Some(ContextContract { protocol, accepts: accepts.unwrap_or_else(|| BTreeSet::from([protocol])) })
    });
    Some(StateContract { vectors: vectors.into_iter().collect(), memory, context })
}

fn keep(artifacts: &mut BTreeMap<Digest, Artifact>, file: PathBuf, bytes: Vec<u8>) -> Digest {
    let digest = Digest::of(&bytes);
    artifacts.insert(digest, Artifact { file, bytes });
    digest
}

/// The text of the file that a key names. A path that leaves the agent's folder is refused, also by a link: what a
/// release holds must be reviewed where the release is.
fn file_at(section: &Section<'_>, key: &'static str, folder: &Path) -> Option<(PathBuf, String)> {
    let named: PathBuf = section.get(key)?;
    let stays = named.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !stays || named.as_os_str().is_empty() {
        section
            .refuse(key, &format!("names {}; it must be a path inside the agent's folder", named.display()));
        return None;
    }
    let path = folder.join(&named);
    if let (Ok(real), Ok(home)) = (path.canonicalize(), folder.canonicalize())
        && !real.starts_with(home)
    {
        section.refuse(key, &format!("names {}, a link that leaves the agent's folder", named.display()));
        return None;
    }
    match read_text(&path, ARTIFACT_BYTES_MAX) {
        Ok(text) => Some((named, text)),
        Err(what) => {
            section.refuse(key, &format!("names {}, which {what}", named.display()));
            None
        }
    }
}
