//! The dial's fixed positions, as a row to see and to turn by.

use pinrail_domain::dial::{Place, Position};

use super::turn_at;
use crate::ui::{self, Html};

/// What a position means, for whoever turns to it.
#[must_use]
pub fn says(position: Position) -> &'static str {
    match position {
        Position::Full => "everything is on",
        Position::Supervised => "each call of a tool with side effects needs a person's approval",
        Position::ReadOnly => "tools with side effects aren't offered, and calls of them are taken out",
        Position::Fallback => "as read_only, and another release answers",
        Position::Canned => "a fixed text answers; no provider is asked",
        Position::Off => "503 with Retry-After; no run is made",
    }
}

/// Every position with what it means.
#[must_use]
pub fn meanings() -> Html {
    let rows = Position::ALL.map(|position| {
        format!("<div><dt><code>{position}</code></dt><dd>{}</dd></div>", ui::plain(says(position)))
    });
    Html::from_trusted(format!("<dl class=\"meanings\">{}</dl>", rows.concat()))
}

/// The positions of the dial, the one where it stands marked; where it may be turned, each leads to doing so, at the place
/// where that turns it up, or down.
pub fn detents([up, down]: [&Place; 2], stands: Position, may_turn: bool) -> Html {
    let place = down;
    let row = Position::ALL.into_iter().filter(|position| is_for(*position, place) || *position == stands);
    let items = row.map(|position| {
        let word = ui::plain(position);
        if position == stands {
            let tone = tone(position);
            return format!("<li class=\"stands {tone}\"><b aria-current=\"true\">{word}</b></li>");
        }
        let passed = if position < stands { " class=\"passed\"" } else { "" };
        let place = if position < stands { up } else { down };
        if may_turn {
            let to = ui::plain(turn_at(place, Some(position)));
            let label = ui::plain(format!("Turn {place} to {position}"));
            format!("<li{passed}><a href=\"{to}\" aria-label=\"{label}\">{word}</a></li>")
        } else {
            format!("<li{passed}>{word}</li>")
        }
    });
    let label = ui::plain(format!("The dial of {place} stands at {stands}"));
    Html::from_trusted(format!(
        "<ol class=\"detents\" aria-label=\"{label}\">{}</ol>",
        items.collect::<String>()
    ))
}

/// A tool's own dial knows three positions.
fn is_for(position: Position, place: &Place) -> bool {
    match position {
        Position::Full | Position::Supervised | Position::Off => true,
        Position::ReadOnly | Position::Fallback | Position::Canned => place.tool.is_none(),
    }
}

fn tone(position: Position) -> &'static str {
    match position {
        Position::Full => "good",
        Position::Supervised | Position::ReadOnly | Position::Fallback => "warn",
        Position::Canned | Position::Off => "bad",
    }
}
