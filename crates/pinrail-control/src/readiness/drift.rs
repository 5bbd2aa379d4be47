//! Whether what is served is still what was pinned.

use pinrail_domain::world::World;

use super::Seen;

pub fn look(world: &World) -> Seen {
    let open = world.findings.len();
    let why: Vec<String> = world
        .findings
        .values()
        .filter_map(|finding| {
            let agents: Vec<String> =
                world.agents_on(&finding.subject).iter().map(ToString::to_string).collect();
            let seq = finding.seq;
            (!agents.is_empty())
                .then(|| format!("{} (finding {seq}, under {})", finding.what, agents.join(", ")))
        })
        .collect();
    match (open, why.len()) {
        (0, _) => Seen::met("no finding is open"),
        (open, 0) => Seen::met(format!("{open} findings are open, of nothing that is served")),
        (_, served) => Seen::missed(
            format!("{served} findings are open"),
            why,
            "look at them with `pinrail drift list`; gate and deploy a release that pins what is there now, or \
             `pinrail drift clear FINDING` once it is dealt with",
        ),
    }
}
