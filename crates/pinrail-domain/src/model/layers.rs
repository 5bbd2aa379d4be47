//! What is known about models, in layers: what Pinrail brings, what was learnt since, what the user states.

use std::sync::Arc;

use super::Catalogue;

/// What is known beside what was learnt. What was learnt is laid over what Pinrail brings, and what the user's own file
/// states wins over both.
#[derive(Clone, Debug)]
pub struct Layers {
    pub brought: Arc<Catalogue>,
    pub own: Option<Arc<Catalogue>>,
}

impl Layers {
    /// A catalogue with nothing over it.
    #[must_use]
    pub fn of(brought: Catalogue) -> Layers {
        Layers { brought: Arc::new(brought), own: None }
    }

    /// What Pinrail brings, and the user's own file.
    #[must_use]
    pub fn embedded(own: Option<Catalogue>) -> Layers {
        Layers { brought: Arc::new(Catalogue::embedded().clone()), own: own.map(Arc::new) }
    }

    /// What holds, with this learnt.
    #[must_use]
    pub fn with(&self, learnt: Option<&Catalogue>) -> Catalogue {
        let base = Catalogue::clone(&self.brought);
        let known = match learnt {
            Some(learnt) => Catalogue::overlaid(base, learnt.clone()),
            None => base,
        };
        match &self.own {
            Some(own) => Catalogue::overlaid(known, Catalogue::clone(own)),
            None => known,
        }
    }
}
