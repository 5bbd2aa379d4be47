//! One client under load: what it asks for, and what it was told.

use serde_json::{Value, json};

use super::Draw;
use crate::client::{Answer, Broken, Client};
use crate::seen::Seen;
use crate::stage::{CHAT, CRITICAL, STANDARD, Stage, chat};

/// A client. It lives longer than a server.
pub struct Worker {
    name: u64,
    draw: Draw,
    stage: Stage,
    requests: u64,
    /// The newest deployment that it heard of.
    newest: u64,
    /// Open runs that nobody else touches.
    own: Vec<Own>,
    /// What it was told, and nobody has checked yet.
    pub acks: Vec<Ack>,
    /// What it asked for when the server went away.
    pub pending: Option<Request>,
}

/// A run and the place of its next event, where that is known.
struct Own {
    run: String,
    next: Option<u64>,
}

/// What the server said is done.
pub enum Ack {
    Created { run: String, stamp: Value },
    Appended { run: String, mark: String, next: u64 },
    Finished { run: String },
    Called { run: String, durable: bool, single: bool, deployment: String, release: String },
    Changed { seq: u64, mark: String },
}

/// A change that may be sent again. Its idempotency key marks what it leaves behind.
#[derive(Debug)]
pub struct Request {
    path: String,
    body: Value,
    mark: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Create,
    Append { run: String, events: usize },
    Finish { run: String },
    Change,
}

/// Sessions that the clients share.
const SESSIONS: u64 = 12;
/// Open runs of one client.
const OWN_MAX: usize = 20;

impl Worker {
    pub fn new(name: u64, seed: u64, stage: Stage) -> Worker {
        let draw = Draw::new(seed);
        let newest = stage.candidate;
        Worker { name, draw, stage, requests: 0, newest, own: Vec::new(), acks: Vec::new(), pending: None }
    }

    /// Asks for one thing after the other until the server is gone; every answer is counted.
    pub fn work(&mut self, client: &Client, count: &dyn Fn()) {
        while let Ok(()) = self.step(client) {
            count();
        }
    }

    /// Learns what became of its runs.
    pub fn catch_up(&mut self, seen: &Seen) {
        self.own.retain(|own| seen.runs[&own.run].summary["status"] != "finished");
        for own in &mut self.own {
            own.next = seen.runs[&own.run].summary["next"].as_u64();
        }
    }

    fn step(&mut self, client: &Client) -> Result<(), Broken> {
        self.requests += 1;
        let mark = format!("c{}-{}", self.name, self.requests);
        let request = match self.draw.below(100) {
            0..20 => self.create(mark),
            20..50 => match self.append(mark) {
                Some(request) => request,
                None => return self.call(client),
            },
            50..56 => match self.finish(mark) {
                Some(request) => request,
                None => return self.call(client),
            },
            56..76 => self.change(mark),
            _ => return self.call(client),
        };
        match request.send(client) {
            Ok(answer) => self.told(request, &answer),
            Err(broken) => {
                self.pending = Some(request);
                return Err(broken);
            }
        }
        Ok(())
    }

    fn create(&mut self, mark: String) -> Request {
        let mut body = json!({ "agent": self.agent(), "attributes": { "mark": mark } });
        if self.draw.below(2) == 0 {
            body["session"] = self.session().into();
        }
        Request { path: "/api/v1/runs".to_owned(), body, mark, what: What::Create }
    }

    fn append(&mut self, mark: String) -> Option<Request> {
        let at = self.draw.next() as usize % self.own.len().max(1);
        let own = self.own.get(at)?;
        let events = 1 + self.draw.below(3) as usize;
        let data = "x".repeat(self.draw.below(2_000) as usize);
        let note = json!({ "type": "note", "name": mark, "data": data });
        let mut body = json!({ "events": vec![note; events] });
        if let Some(next) = own.next {
            body["expected_seq"] = next.into();
        }
        let what = What::Append { run: own.run.clone(), events };
        Some(Request { path: format!("/api/v1/runs/{}/events", own.run), body, mark, what })
    }

    fn finish(&mut self, mark: String) -> Option<Request> {
        let run = self.own.pop()?.run;
        let path = format!("/api/v1/runs/{run}/finish");
        Some(Request { path, body: json!({ "outcome": "ok" }), mark, what: What::Finish { run } })
    }

    fn change(&mut self, mark: String) -> Request {
        let release = self.draw.pick(&self.stage.releases).clone();
        // The stage's deployment stays, so that there always is something to return to.
        let some = (self.newest - self.draw.below(3)).max(self.stage.active + 1);
        let weight = self.draw.below(10_001);
        let open = "/api/v1/deployments".to_owned();
        let (path, body) = match self.draw.below(7) {
            0 => (open, json!({ "releases": { self.agent(): release }, "now": true, "lift_hold": true })),
            1 => (
                open,
                json!({ "releases": { STANDARD: release, CRITICAL: release }, "now": true, "lift_hold": true }),
            ),
            2 | 3 => {
                (open, json!({ "releases": { self.agent(): release }, "weight": weight, "lift_hold": true }))
            }
            4 => (format!("/api/v1/deployments/{some}/weight"), json!({ "weight": weight })),
            5 => (format!("/api/v1/deployments/{some}/promote"), json!({ "lift_hold": true })),
            _ => (format!("/api/v1/deployments/{some}/rollback"), json!({})),
        };
        let mut body = body;
        body["reason"] = mark.clone().into();
        Request { path, body, mark, what: What::Change }
    }

    /// Calls the gateway; nobody repeats that after a crash.
    fn call(&mut self, client: &Client) -> Result<(), Broken> {
        let joined = if self.draw.below(4) == 0 { self.own.last_mut() } else { None };
        let is_joined = joined.is_some();
        let (agent, header) = match joined {
            Some(own) => {
                // The call's events come behind its answer.
                own.next = None;
                (None, Some(("x-pinrail-run", own.run.clone())))
            }
            None => (Some(self.agent()), None),
        };
        let session = self.session();
        let header = match header {
            Some(header) => Some(header),
            None if self.draw.below(2) == 0 => Some(("x-pinrail-session", session)),
            None => None,
        };
        let agent = match (agent, &header) {
            (Some(agent), _) => agent,
            (None, Some((_, run))) => self.agent_of(client, run)?,
            (None, None) => unreachable!("a joined call names its run"),
        };
        let body = chat(&agent, self.draw.below(2) == 0);
        let headers: Vec<(&str, &str)> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = client.send("POST", CHAT, &headers, Some(&body))?;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let text = |name| answer.header(name).expect("an answer is stamped").to_owned();
        self.acks.push(Ack::Called {
            run: text("x-pinrail-run"),
            durable: is_joined || agent == CRITICAL,
            single: !is_joined,
            deployment: text("x-pinrail-deployment"),
            release: text("x-pinrail-release"),
        });
        Ok(())
    }

    fn agent_of(&self, client: &Client, run: &str) -> Result<String, Broken> {
        let shown = client.send("GET", &format!("/api/v1/runs/{run}"), &[], None)?.ok();
        Ok(shown["stamp"]["agent"].as_str().expect("a name").to_owned())
    }

    fn told(&mut self, request: Request, answer: &Answer) {
        let Request { mark, what, .. } = request;
        if answer.status != 200 {
            // Others change deployments as well; runs are one's own.
            let refusable = matches!((&what, answer.status), (What::Change, 404 | 409));
            assert!(refusable, "{what:?}: {}", String::from_utf8_lossy(&answer.body));
            return;
        }
        let body = answer.json();
        let ack = match what {
            What::Create => {
                let run = body["run"].as_str().expect("an id").to_owned();
                if self.own.len() < OWN_MAX {
                    self.own.push(Own { run: run.clone(), next: Some(1) });
                }
                Ack::Created { run, stamp: body["stamp"].clone() }
            }
            What::Append { run, .. } => {
                let next = body["summary"]["next"].as_u64().expect("a place");
                if let Some(own) = self.own.iter_mut().find(|own| own.run == run && own.next.is_some()) {
                    own.next = Some(next);
                }
                Ack::Appended { run, mark, next }
            }
            What::Finish { run } => Ack::Finished { run },
            What::Change => {
                self.newest = self.newest.max(body["deployment"].as_u64().expect("an id"));
                Ack::Changed { seq: body["seq"].as_u64().expect("a place"), mark }
            }
        };
        self.acks.push(ack);
    }

    fn agent(&mut self) -> String {
        (*self.draw.pick(&[STANDARD, CRITICAL])).to_owned()
    }

    fn session(&mut self) -> String {
        format!("s-{}", self.draw.below(SESSIONS))
    }
}

impl Request {
    pub fn send(&self, client: &Client) -> Result<Answer, Broken> {
        client.send("POST", &self.path, &[("idempotency-key", &self.mark)], Some(&self.body))
    }

    /// How much of it is there.
    pub fn effects(&self, seen: &Seen) -> usize {
        match &self.what {
            What::Create => {
                seen.runs.values().filter(|run| run.stamp["attributes"]["mark"] == *self.mark).count()
            }
            What::Append { run, .. } => {
                seen.runs[run].events.iter().filter(|event| event["name"] == *self.mark).count()
            }
            What::Finish { run } => {
                seen.runs[run].events.iter().filter(|event| event["type"] == "finished").count()
            }
            What::Change => seen.ledger.iter().filter(|entry| entry.reason == self.mark).count(),
        }
    }

    /// How much that is when it is there; none where it depends on what it finds.
    pub fn once(&self) -> Option<usize> {
        match &self.what {
            What::Create | What::Finish { .. } => Some(1),
            What::Append { events, .. } => Some(*events),
            What::Change => None,
        }
    }
}
