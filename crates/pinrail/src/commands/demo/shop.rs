//! The shop that the agent works for: what it knows, its tools, and a customer's visit from the first word to the last.
//!
//! A visit is what an application does: it begins a run, looks up what is known, asks the agent, calls the tools that the
//! agent wants, keeps what was said in the session's memory and what the agent wants to be kept in the knowledge base.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::api::{AGENT, Answer, Api, Call, Caller, TENANT};

/// What the operator knows, loaded once: facts from outside.
const FACTS: [(&str, &str); 6] = [
    ("returns", "Shoes and clothes can be sent back for 30 days."),
    ("delivery", "Parcels take three days, and five to islands."),
    ("payment", "Cards, transfers and vouchers are taken; the invoice comes by mail."),
    ("lamps", "Lamps have a warranty of two years."),
    ("gifts", "Gifts are wrapped for 4 euro, with a card."),
    ("opening", "The shop in town is open on weekdays from nine to six."),
];
/// What a customer asks about returns.
pub const HOW_LONG: &str = "How long can shoes be sent back?";
/// Other questions whose answers are in the knowledge base.
pub const LOOKUPS: [&str; 3] =
    [HOW_LONG, "How many days do parcels take to islands?", "Is there a warranty on lamps?"];
/// Articles of the shop, for sums that differ.
const PRICES: usize = 78;

/// Why somebody comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// What two articles cost together: one call, no tools.
    Sum,
    /// How long shoes can be sent back: the knowledge base decides.
    HowLong,
    /// The parcel is late, and the customer wants the money back.
    Complaint,
    /// The parcel is lost.
    Lost,
}

/// A visit that is over.
pub struct Visit {
    pub deployment: u64,
    /// What was said last.
    pub said: String,
    /// Whether a sum was right; a visit for anything else is.
    pub right: bool,
    /// The tools that were called.
    pub called: Vec<String>,
    pub dial: Option<String>,
    pub served: String,
}

/// The shop. Cheap to clone.
#[derive(Clone)]
pub struct Shop {
    api: Api,
    /// The same text has the same vector: it is asked for once.
    vectors: Arc<Mutex<HashMap<String, Value>>>,
}

impl Shop {
    pub fn new(api: Api) -> Shop {
        Shop { api, vectors: Arc::default() }
    }

    /// Loads what the operator knows into the knowledge base; gives how much that is.
    pub fn load_facts(&self) -> anyhow::Result<usize> {
        let mut records = Vec::new();
        for (key, text) in FACTS {
            records.push(json!({ "key": key, "vector": self.vector(text)?, "payload": { "text": text } }));
        }
        let embedder =
            json!({ "provider": "sim", "embedder": "sim-1-2026-01-15", "dims": 64, "metric": "cosine" });
        self.api.post(
            "vectors/kb/upsert",
            &json!({ "external": true, "embedder": embedder, "records": records }),
        )?;
        for text in LOOKUPS {
            self.vector(text)?;
        }
        Ok(FACTS.len())
    }

    /// What the knowledge base has that is nearest to a question, as everybody sees it or as a run does.
    pub fn look_up(&self, question: &str, run: Option<&str>) -> anyhow::Result<Value> {
        let mut body = json!({ "vector": self.vector(question)?, "top": 1 });
        if let Some(run) = run {
            body["run"] = json!(run);
        }
        Ok(self.api.post("vectors/kb/search", &body)?["results"].take())
    }

    /// The `n`-th sum, asked in a session, and whether the answer is right.
    pub fn sum(&self, n: usize, session: &str, tenant: &str) -> anyhow::Result<Visit> {
        let (question, right) = sum(n);
        let messages = json!([{ "role": "user", "content": question }]);
        let who = Caller { session: Some(session), tenant: Some(tenant), run: None };
        let answer = good(self.api.chat(who, &messages)?)?;
        let is_right = answer.text.contains(&right.to_string());
        let Answer { deployment, dial, served, text: said, .. } = answer;
        Ok(Visit { deployment, said, right: is_right, called: Vec::new(), dial, served })
    }

    /// A customer's visit.
    pub fn visit(&self, wish: Wish, n: usize, session: &str) -> anyhow::Result<Visit> {
        if wish == Wish::Sum {
            return self.sum(n, session, TENANT);
        }
        let begun =
            self.api.post("runs", &json!({ "agent": AGENT, "tenant": TENANT, "session": session }))?;
        let run = begun["run"].as_str().unwrap_or_default().to_owned();
        let deployment = begun["deployment"].as_u64().unwrap_or_default();
        let asked = self.question(wish, n, &run)?;
        let mut messages = vec![json!({ "role": "user", "content": asked.prompt })];
        let who = Caller { run: Some(&run), session: Some(session), tenant: Some(TENANT) };
        let mut answer = good(self.api.chat(who, &json!(messages))?)?;
        let mut called = Vec::new();
        let calls = answer.calls();
        if !calls.is_empty() {
            messages.push(answer.message.clone());
            for call in calls {
                let result = self.call(&run, &call)?;
                messages.push(json!({ "role": "tool", "tool_call_id": call.id, "content": result }));
                called.push(call.name);
            }
            answer = good(self.api.chat(who, &json!(messages))?)?;
        }
        let turns = json!([
            { "role": "user", "content": asked.said },
            { "role": "assistant", "content": answer.text },
        ]);
        self.api.post(&format!("memory/{AGENT}/{session}"), &json!({ "run": run, "turns": turns }))?;
        self.api.post(&format!("runs/{run}/finish"), &json!({ "outcome": "ok" }))?;
        let Answer { dial, served, text: said, .. } = answer;
        Ok(Visit { deployment, said, right: true, called, dial, served })
    }

    fn question(&self, wish: Wish, n: usize, run: &str) -> anyhow::Result<Question> {
        let order = 1_000 + n;
        let said = match wish {
            Wish::Sum => sum(n).0,
            Wish::HowLong => HOW_LONG.to_owned(),
            Wish::Complaint => {
                format!("Order {order} is late. I want my {} euro and my money back.", 10 + n % PRICES)
            }
            Wish::Lost => format!(
                "Order {order}: the carrier says that my parcel is lost. It was {} euro.",
                10 + n % PRICES
            ),
        };
        let prompt = match wish {
            Wish::HowLong => {
                let found = self.look_up(&said, Some(run))?;
                let known = found[0]["payload"]["text"].as_str().unwrap_or_default();
                format!("What we know: {known}\nThe customer asks: {said}")
            }
            Wish::Sum | Wish::Complaint | Wish::Lost => said.clone(),
        };
        Ok(Question { said, prompt })
    }

    /// Calls a tool and journals the call; gives its result.
    fn call(&self, run: &str, call: &Call) -> anyhow::Result<String> {
        let order = call.arguments["order"].as_u64().unwrap_or_default();
        let (result, is_error) = match call.name.as_str() {
            "look_up_order" => (json!({ "order": order, "state": "on its way" }), false),
            "issue_refund" if is_paid(order) => {
                (json!({ "order": order, "paid_back": call.arguments["euro"] }), false)
            }
            "issue_refund" => (json!({ "error": format!("order {order} isn't paid yet") }), true),
            "remember" => (self.remember(run, &call.arguments)?, false),
            other => (json!({ "error": format!("there is no tool {other}") }), true),
        };
        let events = json!({ "events": [
            { "type": "tool_call", "name": call.name, "id": call.id, "arguments": call.arguments },
            { "type": "tool_result", "name": call.name, "id": call.id, "error": is_error, "result": result },
        ] });
        self.api.post(&format!("runs/{run}/events"), &events)?;
        Ok(result.to_string())
    }

    /// Keeps what the agent wants to be kept: a record of the run's own deployment.
    fn remember(&self, run: &str, arguments: &Value) -> anyhow::Result<Value> {
        let note = arguments["note"].as_str().unwrap_or_default();
        let record = json!({ "key": format!("note/{run}"), "vector": self.vector(note)?, "payload": { "text": note } });
        self.api.post("vectors/kb/upsert", &json!({ "run": run, "records": [record] }))?;
        Ok(json!({ "kept": true }))
    }

    fn vector(&self, text: &str) -> anyhow::Result<Value> {
        let known = self.vectors.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        if let Some(vector) = known {
            return Ok(vector);
        }
        let vector = self.api.embed(text)?;
        let mut vectors = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        vectors.insert(text.to_owned(), vector.clone());
        Ok(vector)
    }
}

impl Visit {
    /// What the agent said, without the tools' results that the simulated model repeats behind it.
    pub fn spoken(&self) -> String {
        let said = self.said.split(" The tool").next().unwrap_or_default();
        said.to_owned()
    }
}

struct Question {
    /// What the customer said.
    said: String,
    /// What the agent is asked, with what was looked up.
    prompt: String,
}

/// The `n`-th sum and what is right.
pub fn sum(n: usize) -> (String, usize) {
    let (left, right) = (11 + n % PRICES, 11 + (n * 7 + n / PRICES) % PRICES);
    (format!("Two articles, please. What is {left} + {right}?"), left + right)
}

/// Whether an order was paid: the others come on account, and the refund tool refuses them.
fn is_paid(order: u64) -> bool {
    order.is_multiple_of(3)
}

fn good(answer: Answer) -> anyhow::Result<Answer> {
    anyhow::ensure!(answer.is_good(), "a customer was answered with {}: {}", answer.status, answer.body);
    Ok(answer)
}
