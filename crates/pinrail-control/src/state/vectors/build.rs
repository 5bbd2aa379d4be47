//! Graphs over large spaces: built in the background, kept in files, built anew when a file is missing or damaged.
//!
//! Searches never wait for a graph: what is in none is scanned. A graph that is being built when the process ends is
//! lost, and nothing else.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};

use pinrail_domain::digest::Digest;
use pinrail_domain::state::Space;
use pinrail_vectors::graph::Graph;
use pinrail_vectors::index::Job;
use serde::{Deserialize, Serialize};

use super::loaded::Vectors;
use super::{States, VectorSpace};
use crate::{errors, tasks};

/// A graph that was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    pub members: usize,
    pub replaced: usize,
}

/// One thread, so that live traffic keeps the others.
const BUILD_THREADS: usize = 1;
/// How many more records make it worth thinking about a graph again.
const CONSIDER_EVERY: usize = 1_000;
/// A build says how far it is at every tenth.
const SAY_PARTS: usize = 10;
/// What graphs' files end with.
const EXTENSION: &str = "graph";

impl States {
    /// Starts to build a graph in the background if one would pay now. Costs next to nothing when there is nothing to
    /// think about.
    pub(super) fn tend(&self, space: &Space) {
        let Some(vectors) = self.vectors.get(space) else { return };
        let generation = self.parts.snapshot.load().world.commits.generation;
        let places = vectors.places();
        {
            let mut considered = vectors.considered.lock().unwrap_or_else(PoisonError::into_inner);
            let (at, then) = *considered;
            if places < at + CONSIDER_EVERY && generation == then
                || vectors.tended.swap(true, Ordering::AcqRel)
            {
                return;
            }
            *considered = (places, generation);
        }
        let (states, space) = (Weak::clone(&self.me), space.clone());
        let weak = Arc::downgrade(&vectors);
        tasks::spawn(async move {
            while let Some(states) = states.upgrade() {
                if states.build_next(&space, &weak).await != Some(true) {
                    break;
                }
            }
            if let Some(vectors) = weak.upgrade() {
                vectors.tended.store(false, Ordering::Release);
            }
        });
    }

    /// Builds the next graph; true when there may be another to build.
    async fn build_next(&self, space: &Space, vectors: &Weak<Vectors>) -> Option<bool> {
        let committed = self.look(space, |index| index.visible(None).into_owned()).await.ok()?;
        let vectors = vectors.upgrade()?;
        let planned = vectors.look(|index| {
            index.maintenance(&committed).map(|job| (job, index.arena().clone(), index.embedder()))
        });
        let Some((job, arena, embedder)) = planned else { return Some(false) };
        let members = job.members.len();
        tracing::info!(%space, members, why = ?job.why, "building an index of vectors");
        let (named, said) = (space.clone(), AtomicUsize::new(0));
        let weak = Arc::downgrade(&vectors);
        drop(vectors);
        let working = job.clone();
        let still = weak.clone();
        let built = tasks::compute(move || {
            working.build(&arena, embedder, BUILD_THREADS, &|progress| {
                let part = progress.done * SAY_PARTS / progress.of.max(1);
                if part > said.fetch_max(part, Ordering::Relaxed) {
                    tracing::info!(space = %named, done = progress.done, of = progress.of, "building an index of vectors");
                }
                // Nobody uses the space any more.
                if still.strong_count() == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })
        .await;
        let vectors = weak.upgrade()?;
        match built {
            Ok(graph) => {
                self.put_in(space, &vectors, &job, graph).await;
                Some(true)
            }
            Err(error) => {
                tracing::warn!(%space, error = %errors::chain(&error), "an index of vectors is not built; they are scanned");
                Some(false)
            }
        }
    }

    async fn put_in(&self, space: &Space, vectors: &Arc<Vectors>, job: &Job, graph: Option<Graph>) {
        let content = graph.as_ref().map(Graph::content);
        let out = vectors.change(|index| index.swap(job, graph));
        let Some(folder) = self.graphs_folder(space) else { return };
        let kept = content.and_then(|content| {
            vectors.look(|index| index.graphs().iter().find(|graph| graph.content() == content).cloned())
        });
        tasks::compute(move || {
            // The new file first: a crash in between leaves a graph too many, which is found to overlap and removed.
            if let Some(graph) = kept
                && let Err(error) = save(&folder, &graph)
            {
                tracing::warn!(error = %error, "an index of vectors is not kept in a file; it is built anew at the next start");
            }
            for graph in out {
                remove(&file(&folder, graph.content()));
            }
        })
        .await;
    }

    /// Takes the graphs of an earlier start in, once. A file that doesn't fit is removed, and built anew if it pays.
    pub(super) async fn adopt_graphs(&self, of: &VectorSpace, vectors: &Arc<Vectors>) {
        if vectors.adopted.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(folder) = self.graphs_folder(&of.space) else { return };
        let (vectors, embedder, space) = (Arc::clone(vectors), of.id, of.space.clone());
        tasks::compute(move || {
            let arena = vectors.look(|index| index.arena().clone());
            for path in files(&folder) {
                match Graph::load(&path, &arena, embedder) {
                    Ok(graph) => {
                        for old in vectors.change(|index| index.adopt(graph)) {
                            remove(&file(&folder, old.content()));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%space, error = %errors::chain(&error), "an index of vectors is built anew");
                        remove(&path);
                    }
                }
            }
        })
        .await;
    }

    /// Removes the files of a space's graphs: what they were made of is gone.
    pub(in crate::state) fn remove_graphs(&self, space: &Space) {
        let Some(folder) = self.graphs_folder(space) else { return };
        files(&folder).iter().for_each(|path| remove(path));
    }

    fn graphs_folder(&self, space: &Space) -> Option<PathBuf> {
        let name = Digest::of(format!("{}\n{space}", space.tenant).as_bytes()).short();
        Some(self.vectors.folder.as_ref()?.join(name))
    }
}

fn save(folder: &Path, graph: &Graph) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    graph.save(&file(folder, graph.content())).map_err(|error| errors::chain(&error))
}

fn file(folder: &Path, content: u128) -> PathBuf {
    folder.join(format!("{content:032x}.{EXTENSION}"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    paths.sort();
    paths
}

fn remove(path: &Path) {
    // One that stays is found to be stale at the next start.
    let _ = fs::remove_file(path);
}
