//! The members: who follows the epoch, who is behind, and whose writes are refused.

use askama::Template;
use pinrail_api::members::Member;
use pinrail_domain::id::Epoch;
use pinrail_domain::member::MemberKind;
use pinrail_domain::time::Timestamp;
use serde::Serialize;

use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::spaces::href;
use crate::ui::{self, Html, Tone};

/// The members, by name.
#[derive(Clone, Debug, Serialize)]
pub struct Members {
    pub epoch: Epoch,
    pub items: Vec<Member>,
    /// Pass as `after` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Template)]
#[template(path = "members.html")]
struct Main<'a> {
    it: &'a Members,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "members_list.html")]
struct List<'a> {
    it: &'a Members,
    shell: &'a Shell,
}

impl Page for Members {
    fn nav(&self) -> Nav {
        Nav::Readiness
    }

    fn title(&self) -> String {
        "Members".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        vec![Part { id: "members".to_owned(), html: self.list(shell) }]
    }

    fn is_live(&self) -> bool {
        true
    }

    fn follows_members(&self) -> bool {
        true
    }
}

impl Members {
    fn list(&self, shell: &Shell) -> Html {
        ui::written(&List { it: self, shell })
    }

    fn of_state(&self, state: &str) -> u64 {
        self.items.iter().filter(|member| member.state == state).count() as u64
    }

    fn fenced(&self) -> u64 {
        self.items.iter().filter(|member| member.fenced).count() as u64
    }
}

/// The last of a member's id: its beginning is the time.
#[must_use]
pub fn short(member: &Member) -> String {
    let text = member.member.to_string();
    let tail = text.char_indices().rev().nth(5).map_or(0, |(at, _)| at);
    format!("…{}", &text[tail..])
}

impl Main<'_> {
    fn list(&self) -> Html {
        self.it.list(self.shell)
    }

    fn next(&self) -> Option<String> {
        Some(href("/members", &[("after", self.it.next.as_deref()?)]))
    }
}

impl List<'_> {
    fn kind(&self, member: &Member) -> &'static str {
        match member.kind {
            MemberKind::Gateway => "gateway",
            MemberKind::Worker => "worker",
        }
    }

    fn state(&self, member: &Member) -> Html {
        let tone = match member.state.as_str() {
            "fresh" => Tone::Good,
            "behind" => Tone::Warn,
            _ => Tone::Bad,
        };
        ui::badge(tone, &member.state)
    }

    /// When the lease runs out, or ran out: with the page open, its words go on.
    fn lease_ends(&self, member: &Member) -> Option<Timestamp> {
        let now = self.shell.now.0;
        match (member.lease_left_ms, member.state.as_str(), member.for_ms) {
            (_, "lapsed", Some(for_ms)) => Some(Timestamp(now.saturating_sub(for_ms))),
            (Some(left), _, _) => Some(Timestamp(now + left)),
            (None, _, _) => None,
        }
    }

    /// Since when it has been behind.
    fn behind_since(&self, member: &Member) -> Option<Timestamp> {
        let for_ms = member.for_ms.filter(|_| member.state == "behind")?;
        Some(Timestamp(self.shell.now.0.saturating_sub(for_ms)))
    }
}

#[cfg(test)]
mod tests {
    use pinrail_domain::id::Generation;

    use super::*;

    fn member(state: &str, lease_left_ms: Option<u64>) -> Member {
        Member {
            member: "mem_00000000000000ab".parse().unwrap(),
            name: "pod-1".parse().unwrap(),
            kind: MemberKind::Worker,
            generation: Generation(2),
            acknowledged: Epoch(6),
            state: state.to_owned(),
            behind: if state == "behind" { 3 } else { 0 },
            for_ms: (state != "fresh").then_some(61_000),
            fenced: state == "lapsed",
            lease_ms: lease_left_ms.map(|_| 15_000),
            lease_left_ms,
            registered_at: Timestamp(1_799_999_000_000),
        }
    }

    #[test]
    fn members_say_how_they_follow() {
        let items = vec![member("fresh", None), member("behind", Some(9_000)), member("lapsed", Some(0))];
        let page = Members { epoch: Epoch(9), items, next: None };
        let shell = Shell::of("/members");
        let html = page.main(&shell).into_string();
        assert!(html.contains("in 9 s") && html.contains("1 min 1 s ago"), "{html}");
        assert!(
            html.contains("3 epochs") && html.contains("refused") && html.contains("id=\"members\""),
            "{html}"
        );
        assert!(html.contains(page.parts(&shell)[0].html.as_str()));
    }
}
