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
/// What the file of a graph ends with that was being written when the process ended.
const UNFINISHED: &str = "new";

/// While it is there, nobody else tends the space.
struct Tending(Weak<Vectors>);

impl Drop for Tending {
    fn drop(&mut self) {
        if let Some(vectors) = self.0.upgrade() {
            vectors.tended.store(false, Ordering::Release);
        }
    }
}

impl States {
    /// Whether graphs are built in the background, as they are unless told otherwise. A bench measures without.
    pub fn build_graphs(&self, whether: bool) {
        self.vectors.builds.store(whether, Ordering::Relaxed);
    }

    /// Starts to build a graph in the background if one would pay now. Costs next to nothing when there is nothing to
    /// think about.
    pub(super) fn tend(&self, space: &Space) {
        let Some(vectors) = self.vectors.get(space) else { return };
        if !vectors.adopted.load(Ordering::Acquire) || !self.vectors.builds.load(Ordering::Relaxed) {
            return;
        }
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
        let tending = Tending(Arc::downgrade(&vectors));
        tasks::spawn(async move {
            while let Some(states) = states.upgrade() {
                if states.build_next(&space, &tending.0).await != Some(true) {
                    break;
                }
            }
        });
    }

    /// Builds the next graph that would pay; true when there may be another to build.
    async fn build_next(&self, space: &Space, vectors: &Weak<Vectors>) -> Option<bool> {
        let committed = self.look(space, |index| index.visible(None).into_owned()).await.ok()?;
        let job = vectors.upgrade()?.look(|index| index.maintenance(&committed));
        match job {
            Some(job) => self.build(space, vectors, job).await,
            None => Some(false),
        }
    }

    /// Does a job; none when nobody uses the space any more.
    async fn build(&self, space: &Space, vectors: &Weak<Vectors>, job: Job) -> Option<bool> {
        let vectors = vectors.upgrade()?;
        let (arena, embedder) = vectors.look(|index| (index.arena().clone(), index.embedder()));
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
        if !self.vectors.holds(space, vectors) {
            return;
        }
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
            for graph in out.iter().filter(|graph| Some(graph.content()) != content) {
                remove(&file(&folder, graph.content()));
            }
        })
        .await;
    }

    /// Takes the graphs of an earlier start in, once. A file that doesn't fit is removed, and built anew if it pays.
    pub(super) async fn adopt_graphs(&self, of: &VectorSpace, vectors: &Arc<Vectors>) {
        if vectors.adopting.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(folder) = self.graphs_folder(&of.space) else {
            vectors.adopted.store(true, Ordering::Release);
            return;
        };
        let (vectors, embedder, space) = (Arc::clone(vectors), of.id, of.space.clone());
        // Runs to its end even if the search that began it goes away.
        tasks::compute(move || {
            files(&folder, UNFINISHED).iter().for_each(|path| remove(path));
            let arena = vectors.look(|index| index.arena().clone());
            for path in files(&folder, EXTENSION) {
                match Graph::load(&path, &arena, embedder) {
                    // A copy that somebody made of another file.
                    Ok(graph) if path != file(&folder, graph.content()) => remove(&path),
                    Ok(graph) => {
                        let out = vectors.change(|index| index.adopt(graph));
                        out.iter().for_each(|old| remove(&file(&folder, old.content())));
                    }
                    Err(error) => {
                        tracing::warn!(%space, error = %errors::chain(&error), "an index of vectors is built anew");
                        remove(&path);
                    }
                }
            }
            vectors.adopted.store(true, Ordering::Release);
        })
        .await;
    }

    /// Removes the files of a space's graphs: what they were made of is gone.
    pub(in crate::state) fn remove_graphs(&self, space: &Space) {
        let Some(folder) = self.graphs_folder(space) else { return };
        files(&folder, EXTENSION).iter().for_each(|path| remove(path));
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

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    paths.sort();
    paths
}

fn remove(path: &Path) {
    // One that stays is found to be stale at the next start.
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests;
