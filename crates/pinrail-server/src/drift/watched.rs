//! Which models are watched, and what is known of each, as the API shows it.

use std::collections::BTreeMap;

use pinrail_domain::drift::border::{Day, Judged, Mode, Rules, judge};
use pinrail_domain::id::{AgentName, ProviderName};
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;
use pinrail_store::watches::WatchKey;

use super::document::{DayDocument, Document, Spent};

/// A model that somebody needs, and who.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub key: WatchKey,
    pub agents: Vec<AgentName>,
}

/// What is known of a watched model.
#[derive(Clone, Debug)]
pub struct Shown {
    pub model: Model,
    pub(crate) document: Document,
    pub days: Vec<Day>,
    pub judged: Judged,
}

/// What keeps a watch from its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its prompts are still being looked for.
    Hunting { tried: usize },
    /// It never ties.
    Blind,
    /// The provider didn't answer as it should.
    Provider(String),
}

/// Days that are read at once: more than ten years.
pub const DAYS_MAX: usize = 4_000;

/// The models that active, candidate and warm releases pin, with the agents that need them, in order.
pub fn needed(world: &World) -> Vec<Model> {
    let mut models: BTreeMap<WatchKey, Vec<AgentName>> = BTreeMap::new();
    for agent in world.agents.keys() {
        let warm = world.warm(agent).into_iter().map(|warm| warm.release);
        let pointers = world.pointers.iter().filter(|((owner, _), _)| owner == agent);
        let candidates = pointers.filter_map(|(_, pointer)| {
            world.deployments.get(&pointer.candidate?)?.releases.get(agent).copied()
        });
        for release in warm.chain(candidates) {
            let Some(release) = world.releases.get(&release) else { continue };
            let model = &release.manifest.model;
            let key = WatchKey { provider: model.provider.clone(), snapshot: model.snapshot.clone() };
            let agents = models.entry(key).or_default();
            if agents.last() != Some(agent) {
                agents.push(agent.clone());
            }
        }
    }
    models.into_iter().map(|(key, agents)| Model { key, agents }).collect()
}

/// The days that count, judged.
pub fn judged(document: &Document, days: &[Day], rules: &Rules) -> Judged {
    let counting: Vec<Day> = days.iter().filter(|day| day.day >= document.from).cloned().collect();
    judge(&counting, rules)
}

/// A kept day; none where it can't be read.
pub fn day(number: u32, text: &str) -> Option<Day> {
    let DayDocument { mode, tallies } = serde_json::from_str(text).ok()?;
    Some(Day { day: number, mode, tallies })
}

impl Shown {
    /// What keeps the watch from its work; nothing when it does it.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        if self.document.blind_until.is_some() && self.document.prompts.is_empty() {
            return Some(Trouble::Blind);
        }
        if let Some(why) = &self.document.trouble {
            return Some(Trouble::Provider(why.clone()));
        }
        let hunt = self.document.hunt.as_ref().filter(|_| self.document.prompts.is_empty());
        match (hunt, self.document.prompts.is_empty()) {
            (Some(hunt), _) => Some(Trouble::Hunting { tried: hunt.count() }),
            (None, true) => Some(Trouble::Hunting { tried: 0 }),
            (None, false) => None,
        }
    }

    /// What a day has cost.
    #[must_use]
    pub fn spent(&self, day: u32) -> Spent {
        let spent = self.document.spent;
        if spent.day == day { spent } else { Spent { day, ..Spent::default() } }
    }

    /// The border prompts in use.
    #[must_use]
    pub fn prompts(&self) -> &[String] {
        &self.document.prompts
    }

    #[must_use]
    pub fn last_look(&self) -> Option<Timestamp> {
        self.document.last_look
    }

    #[must_use]
    pub fn paused_until(&self) -> Option<Timestamp> {
        self.document.paused_until
    }

    /// How it is asked.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.document.mode
    }

    /// One word for how it is.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.trouble() {
            Some(Trouble::Blind) => "blind",
            Some(Trouble::Hunting { .. }) => "looking",
            Some(Trouble::Provider(_)) | None => self.judged.verdict.state(),
        }
    }

    /// One sentence for how it is.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.trouble() {
            Some(Trouble::Blind) => {
                "this model's next token is never close to a tie: border prompts can't watch it".to_owned()
            }
            Some(Trouble::Hunting { tried }) => format!("looking for border prompts: {tried} tried so far"),
            Some(Trouble::Provider(why)) => {
                format!("{}; the last look got no answers: {why}", self.judged.verdict)
            }
            None => self.judged.verdict.to_string(),
        }
    }
}

impl Model {
    /// The name that orders its prompts and its place in the day.
    pub fn name(provider: &ProviderName, snapshot: &str) -> String {
        format!("{provider}/{snapshot}")
    }
}
