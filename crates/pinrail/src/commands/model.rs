//! `pinrail model`: what the catalogue says of a model id. Asks no server.

use std::path::PathBuf;

use pinrail_domain::model::{Catalogue, Identity, Lifecycle, STALE_DAYS, Tokens, is_stale};
use pinrail_domain::time::Timestamp;
use serde_json::{Value, json};

use crate::config;
use crate::output::table::pairs;
use crate::output::{Output, time};

/// Ask the model catalogue
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail model check gpt-4o
  pinrail model check claude-sonnet-4-5 --provider bedrock
  pinrail model check sim-1-latest --json

Without --provider the catalogue's providers that know the id best are shown. docs/model-identity.md tells how an
id is judged and how to lay a catalogue of your own over the one that is built in.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Say whether a model id is pinned, floating or unknown, and why
    Check {
        id: String,
        /// Part of the catalogue: openai, anthropic, gemini, mistral, bedrock, azure, vertex, sim or your own
        #[arg(long)]
        provider: Option<String>,
        /// Folder of the pinrail.toml that may name a catalogue of your own
        #[arg(short = 'f', long = "dir", value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
}

/// Prices are told for this many tokens.
const PRICED_TOKENS: u64 = 1_000_000;

pub fn run(args: &Args, out: Output, now: Timestamp) -> anyhow::Result<()> {
    let What::Check { id, provider, dir } = &args.what;
    let catalogue = config::server(dir)?.catalogue;
    let mut providers: Vec<&str> = match provider {
        Some(provider) => vec![provider],
        None => catalogue.providers().collect(),
    };
    if provider.is_none() {
        providers = those_who_know(&catalogue, providers, id, now);
    }
    let answers: Vec<Answer> =
        providers.iter().map(|provider| Answer::of(&catalogue, provider, id, now)).collect();
    let json: Vec<Value> = answers.iter().map(Answer::json).collect();
    out.value(&json, || match answers.len() {
        0 => format!("unknown: no provider of the catalogue says anything about `{id}`; name one with --provider to see the reason and the pinned ids it may have meant"),
        _ => answers.iter().map(|answer| answer.text(now)).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(())
}

/// The providers that list the id; else those that know pins or a price for it; else those whose shapes it has.
fn those_who_know<'p>(
    catalogue: &Catalogue,
    providers: Vec<&'p str>,
    id: &str,
    now: Timestamp,
) -> Vec<&'p str> {
    let lists = |provider: &str| catalogue.lifecycle(provider, id, now) != Lifecycle::Unlisted;
    let near = |provider: &str| match catalogue.judge(provider, id) {
        Identity::Pinned { .. } => catalogue.price(provider, id).is_some(),
        Identity::Floating { pins, .. } => !pins.is_empty(),
        Identity::Unknown { .. } => false,
    };
    let shaped = |provider: &str| !matches!(catalogue.judge(provider, id), Identity::Unknown { .. });
    let found = [&lists as &dyn Fn(&str) -> bool, &near, &shaped]
        .into_iter()
        .map(|knows| providers.iter().copied().filter(|provider| knows(provider)).collect::<Vec<_>>());
    found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

struct Answer {
    provider: String,
    id: String,
    identity: Identity,
    lifecycle: Lifecycle,
    /// Per million tokens: input, cached input, output.
    price: Option<[String; 3]>,
    /// When what is known of it was read; none where it isn't listed.
    read_at: Option<Timestamp>,
    stale: bool,
}

impl Answer {
    fn of(catalogue: &Catalogue, provider: &str, id: &str, now: Timestamp) -> Answer {
        let price = catalogue.price(provider, id).map(|price| {
            let cost =
                |input, cached_input, output| price.cost(Tokens { input, cached_input, output }).to_string();
            let many = PRICED_TOKENS;
            [cost(many, 0, 0), cost(many, many, 0), cost(0, 0, many)]
        });
        Answer {
            provider: provider.to_owned(),
            id: id.to_owned(),
            identity: catalogue.judge(provider, id),
            lifecycle: catalogue.lifecycle(provider, id, now),
            price,
            read_at: catalogue.read_at(provider, id),
            stale: is_stale(catalogue.read_at(provider, id).unwrap_or(catalogue.as_of()), now),
        }
    }

    fn json(&self) -> Value {
        let price = self.price.as_ref().map(|[input, cached, output]| {
            let bare = |text: &String| text.trim_start_matches('$').to_owned();
            json!({ "input": bare(input), "cached_input": bare(cached), "output": bare(output), "unit": "USD per million tokens" })
        });
        let mut all = json!({ "provider": self.provider, "model": self.id, "price": price, "known_as_of": self.read_at.map(|at| at.rfc3339()[..10].to_owned()), "stale": self.stale });
        for part in [json!(self.identity), json!(self.lifecycle)] {
            if let (Some(all), Value::Object(part)) = (all.as_object_mut(), part) {
                all.extend(part);
            }
        }
        all
    }

    fn text(&self, now: Timestamp) -> String {
        let word = match self.identity {
            Identity::Pinned { .. } => "pinned",
            Identity::Floating { .. } => "floating",
            Identity::Unknown { .. } => "unknown",
        };
        let pins = self.identity.pins().join(", ");
        let price = self.price.as_ref().map(|[input, cached, output]| {
            format!("{input} in, {cached} in from cache, {output} out, per million tokens")
        });
        pairs(&[
            ("model", Some(format!("{} ({})", self.id, self.provider))),
            ("identity", Some(format!("{word}: {}", self.identity.why()))),
            ("pinned ids", Some(pins).filter(|pins| !pins.is_empty())),
            ("lifecycle", Some(lifecycle(self.lifecycle, now))),
            ("price", Some(price.unwrap_or_else(|| "not known".to_owned()))),
            ("known as of", self.read_at.map(|at| known_as_of(at, now))),
        ])
    }
}

fn known_as_of(at: Timestamp, now: Timestamp) -> String {
    let day = &at.rfc3339()[..10];
    if is_stale(at, now) {
        format!(
            "{day}: STALE, older than {STALE_DAYS} days; a server may know more (`pinrail catalogue show`)"
        )
    } else {
        format!("{day}, by what Pinrail brings and your own file; a server may have learnt more")
    }
}

/// Where a model stands, for a person.
pub fn lifecycle(lifecycle: Lifecycle, now: Timestamp) -> String {
    match lifecycle {
        Lifecycle::Active => "active".to_owned(),
        Lifecycle::Deprecated { retires: Some(at), .. } => {
            format!("deprecated, retires {}", time::both(now, at))
        }
        Lifecycle::Deprecated { retires: None, .. } => "deprecated, no end announced".to_owned(),
        Lifecycle::RetiringSoon { at, days_left } => {
            format!("retiring soon: {days_left} days left, until {}", time::absolute(at))
        }
        Lifecycle::Retired { at } => format!("retired {}", time::both(now, at)),
        Lifecycle::Unlisted => "not listed: nothing is known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readers copy what the examples say, so those must name models that stay.
    #[test]
    fn examples_name_models_that_are_pinned_and_have_no_end_date() {
        let texts = [
            include_str!("../../../../README.md"),
            include_str!("../../../../docs/api.md"),
            include_str!("init/release.toml"),
        ];
        let marks = ["snapshot = \"", "\"snapshot\": \"", "\"snapshot\":\""];
        let ids = texts.iter().flat_map(|text| marks.iter().flat_map(|mark| text.split(mark).skip(1)));
        let ids: Vec<&str> = ids.filter_map(|rest| rest.split('"').next()).collect();
        assert!(ids.len() >= 5, "{ids:?}");
        let catalogue = Catalogue::embedded();
        // The last day of 2026: an end that is announced by then is in the catalogue of these examples.
        let then = Timestamp(1_798_675_200_000);
        for id in ids {
            let provider = if id.starts_with("sim-") { "sim" } else { "openai" };
            assert!(matches!(catalogue.judge(provider, id), Identity::Pinned { .. }), "{id}");
            assert_eq!(catalogue.lifecycle(provider, id, then), Lifecycle::Active, "{id}");
        }
    }
}
