//! A graph's file: our header, the library's bytes, and a checksum over everything.
//!
//! The library trusts what it reads, so nothing is handed to it before the checksum is right. A file that is missing,
//! damaged, of another space or older than its members is an error with a name, and the caller builds anew: the
//! file is derived from vectors that the store holds.
//!
//! Stored, little-endian: never renumber. Magic, format, dims, metric, scale, embedder, content, words of members,
//! pairs (twin, node), bytes of the library, each list after its length; then xxh3-128 of all that.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use pinrail_domain::digest::Digest;
use pinrail_domain::release::Metric;
use pinrail_domain::state::bits::Bits;
use xxhash_rust::xxh3::xxh3_128;

use super::{Graph, Refused, WALKS_MAX, empty, refused};
use crate::arena::{Arena, Shape};

/// The first bytes of a graph's file.
const MAGIC: &[u8; 8] = b"pinrgrph";
/// The format that this version writes and reads.
const FORMAT: u32 = 1;
/// Bytes of the checksum at the end.
const CHECKSUM: usize = 16;

/// Why a graph was not saved. A file that was there before is still there.
#[derive(Debug, thiserror::Error)]
pub enum NotSaved {
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("the graph can't be turned into bytes")]
    Refused(#[from] Refused),
}

/// Why a file can't be used. Whatever the reason, build the graph anew.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    #[error("there is no {path}")]
    Missing { path: PathBuf },
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is damaged")]
    Damaged { path: PathBuf },
    #[error("{path} has format {found}, and this version reads {FORMAT}")]
    Format { path: PathBuf, found: u32 },
    #[error("{path} is of another embedder, or of a space with other dimensions or another metric")]
    Foreign { path: PathBuf },
    #[error("{path} covers vectors that are not those of the space now")]
    Stale { path: PathBuf },
    #[error("{path} can't be loaded")]
    Refused { path: PathBuf, source: Refused },
}

impl Graph {
    /// Writes the graph beside `path` and moves it there, so that a crash leaves the old file or the new one.
    pub fn save(&self, path: &Path) -> Result<(), NotSaved> {
        let bytes = self.to_bytes()?;
        write_atomically(path, &bytes).map_err(|source| NotSaved::Write { path: path.to_owned(), source })
    }

    /// Reads a graph, if it is whole, of this embedder, and of what `arena` holds now.
    pub fn load(path: &Path, arena: &Arena, embedder: Digest) -> Result<Graph, BadFile> {
        let bytes = fs::read(path).map_err(|source| {
            let path = path.to_owned();
            if source.kind() == io::ErrorKind::NotFound {
                BadFile::Missing { path }
            } else {
                BadFile::Read { path, source }
            }
        })?;
        Parts::read(&bytes, arena, embedder)
            .map_err(|problem| problem.at(path))?
            .into_graph(arena.shape())
            .map_err(|source| BadFile::Refused { path: path.to_owned(), source })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Refused> {
        let mut library = vec![0; self.nodes.serialized_length()];
        self.nodes.save_to_buffer(&mut library).map_err(refused)?;
        let mut bytes = Vec::with_capacity(library.len() + self.members.words().len() * 8 + 256);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend((self.shape.dims as u64).to_le_bytes());
        bytes.push(metric_number(self.shape.metric));
        bytes.extend(self.scale.to_le_bytes());
        bytes.extend(self.embedder.as_bytes());
        bytes.extend(self.content.to_le_bytes());
        bytes.extend((self.members.words().len() as u64).to_le_bytes());
        self.members.words().iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        let mut twins: Vec<(usize, usize)> =
            self.twins.iter().flat_map(|(node, twins)| twins.iter().map(|twin| (*twin, *node))).collect();
        twins.sort_unstable();
        bytes.extend((twins.len() as u64).to_le_bytes());
        for (twin, node) in twins {
            bytes.extend((twin as u64).to_le_bytes());
            bytes.extend((node as u64).to_le_bytes());
        }
        bytes.extend((library.len() as u64).to_le_bytes());
        bytes.extend(library);
        bytes.extend(xxh3_128(&bytes).to_le_bytes());
        Ok(bytes)
    }
}

/// What is in a file, checked, with the library's bytes not yet read.
struct Parts<'a> {
    scale: f32,
    embedder: Digest,
    content: u128,
    members: Bits,
    twins: Vec<(usize, usize)>,
    library: &'a [u8],
}

enum Problem {
    Damaged,
    Format(u32),
    Foreign,
    Stale,
}

impl Problem {
    fn at(self, path: &Path) -> BadFile {
        let path = path.to_owned();
        match self {
            Problem::Damaged => BadFile::Damaged { path },
            Problem::Format(found) => BadFile::Format { path, found },
            Problem::Foreign => BadFile::Foreign { path },
            Problem::Stale => BadFile::Stale { path },
        }
    }
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8], arena: &Arena, embedder: Digest) -> Result<Parts<'a>, Problem> {
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(Problem::Damaged)?;
        if xxh3_128(body).to_le_bytes() != *sum || !body.starts_with(MAGIC) {
            return Err(Problem::Damaged);
        }
        let mut reader = Reader(&body[MAGIC.len()..]);
        let format = u32::from_le_bytes(reader.array()?);
        if format != FORMAT {
            return Err(Problem::Format(format));
        }
        let dims = reader.number()?;
        let [metric] = reader.array()?;
        let scale = f32::from_le_bytes(reader.array()?);
        let found = Digest::from_bytes(reader.array()?);
        let shape = arena.shape();
        if dims != shape.dims || metric != metric_number(shape.metric) || found != embedder {
            return Err(Problem::Foreign);
        }
        let content = u128::from_le_bytes(reader.array()?);
        let mut members = Bits::new();
        for word in 0..reader.count(8)? {
            let bits = u64::from_le_bytes(reader.array()?);
            (0..64).filter(|bit| bits >> bit & 1 == 1).for_each(|bit| {
                members.insert(word * 64 + bit);
            });
        }
        let twins = (0..reader.count(16)?)
            .map(|_| Ok((reader.number()?, reader.number()?)))
            .collect::<Result<_, Problem>>()?;
        let length = reader.number()?;
        let library = reader.0;
        if library.len() != length {
            return Err(Problem::Damaged);
        }
        if arena.digest(&members) != content {
            return Err(Problem::Stale);
        }
        Ok(Parts { scale, embedder, content, members, twins, library })
    }

    fn into_graph(self, shape: Shape) -> Result<Graph, Refused> {
        let nodes = empty(shape, 0)?;
        nodes.load_from_buffer(self.library).map_err(refused)?;
        nodes.reserve_capacity_and_threads(nodes.size(), WALKS_MAX).map_err(refused)?;
        if nodes.size() + self.twins.len() != self.members.len() {
            return Err(Refused(format!("{} nodes for {} members", nodes.size(), self.members.len())));
        }
        let mut twins: HashMap<usize, Vec<usize>> = HashMap::new();
        for (twin, node) in self.twins {
            twins.entry(node).or_default().push(twin);
        }
        let Parts { scale, embedder, content, members, .. } = self;
        Ok(Graph { shape, members, nodes, twins, scale, content, embedder })
    }
}

/// Takes numbers off the front of bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Problem::Damaged)?;
        self.0 = rest;
        Ok(*array)
    }

    fn number(&mut self) -> Result<usize, Problem> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| Problem::Damaged)
    }

    /// A number of things of `bytes` each, no more than there are bytes for.
    fn count(&mut self, bytes: usize) -> Result<usize, Problem> {
        let count = self.number()?;
        if count > self.0.len() / bytes { Err(Problem::Damaged) } else { Ok(count) }
    }
}

/// Stored: never renumber.
fn metric_number(metric: Metric) -> u8 {
    match metric {
        Metric::Cosine => 0,
        Metric::Dot => 1,
        Metric::Euclidean => 2,
    }
}

fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}
