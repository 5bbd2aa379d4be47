use proptest::prelude::*;

use super::*;
use crate::deploy::{self, Open, TakeBack, Traffic};
use crate::drift::{self, DriftAction, DriftSpec, Sign, Subject};
use crate::id::ReleaseId;
use crate::ledger::Body;
use crate::routes::{Question, Routes, Via};
use crate::world::World;
use crate::world::tests::play::{self, Play, agent, judge, release_id, segment, tenant};

const NAME: &str = "planner";

fn place(text: &str) -> Place {
    let part = |key: &str| text.split(' ').find_map(|part| part.strip_prefix(key));
    Place {
        agent: part("agent:").map(agent),
        segment: part("segment:").map(segment),
        tenant: part("tenant:").map(tenant),
        tool: part("tool:").map(|tool| tool.parse().unwrap()),
    }
}

fn wish(at: &str, position: Position) -> Turn {
    Turn { place: place(at), position, release: None, text: None }
}

fn set(play: &mut Play, at: &str, position: Position) {
    let body = turn(&play.world, &wish(at, position), &Actor::Open).unwrap().unwrap();
    play.append(vec![body]);
}

fn deploy_now(play: &mut Play, release: u32) -> DeploymentId {
    let open = Open {
        releases: [(agent(NAME), release_id(release))].into(),
        segment: SegmentName::default_segment(),
        traffic: Traffic::Now,
        lift_hold: true,
    };
    let (id, bodies) = deploy::open(&play.world, &open, crate::assign::Salt(1), judge, Timestamp(0)).unwrap();
    play.append(bodies);
    id
}

fn dialled(world: &World, tenant_name: &str) -> Option<Dialled> {
    let (agent, segment, tenant) = (agent(NAME), SegmentName::default_segment(), tenant(tenant_name));
    Routes::of(world).dialled(Caller { agent: &agent, segment: &segment, tenant: &tenant })
}

fn answer(world: &World) -> Result<(DeploymentId, ReleaseId, Via), String> {
    let (tenant, attributes) = (TenantId::shared(), BTreeMap::new());
    let question =
        Question { tenant: &tenant, attributes: &attributes, unit: "u", bound: None, parent: None };
    let routes = Routes::of(world);
    let decision = routes.resolve(NAME, question).map_err(|no| no.to_string())?;
    Ok((decision.target.deployment, decision.target.release, decision.via))
}

#[test]
fn the_most_restrictive_setting_wins() {
    let mut play = Play::new();
    assert_eq!(dialled(&play.world, "acme"), None);
    set(&mut play, "agent:planner", Position::Supervised);
    set(&mut play, "tenant:acme", Position::ReadOnly);
    set(&mut play, "agent:planner segment:vip", Position::Off);
    set(&mut play, "agent:writer", Position::Off);
    set(&mut play, "agent:planner tool:search", Position::Off);
    let acme = dialled(&play.world, "acme").unwrap();
    let other = dialled(&play.world, "globex").unwrap();
    assert_eq!((acme.position, other.position), (Position::ReadOnly, Position::Supervised));
    let check = |dialled: &Dialled, tool: &str, side_effects: bool, rule: ToolRule| {
        assert_eq!(dialled.tool(tool, side_effects), rule, "{tool} {side_effects}");
    };
    check(&acme, "refund", true, ToolRule::Withheld);
    check(&acme, "look", false, ToolRule::Allowed);
    check(&other, "refund", true, ToolRule::NeedsApproval);
    check(&other, "look", false, ToolRule::Allowed);
    check(&other, "search", false, ToolRule::Withheld);
    assert_eq!(other.why_tool("search").unwrap().0.to_string(), "tool search, agent planner");
    set(&mut play, "tool:look", Position::Supervised);
    check(&dialled(&play.world, "globex").unwrap(), "look", false, ToolRule::NeedsApproval);
    for at in ["agent:planner", "tenant:acme", "agent:planner tool:search", "tool:look"] {
        set(&mut play, at, Position::Full);
    }
    assert_eq!(dialled(&play.world, "acme"), None);
}

proptest! {
    /// Each position takes away what the one before it takes: nothing that was withheld comes back by turning down.
    #[test]
    fn turning_down_never_gives_anything_back(
        here in 0_usize..6, lower in 0_usize..6, side_effects: bool, own in proptest::option::of(0_usize..3),
    ) {
        let tools = [Position::Full, Position::Supervised, Position::Off];
        let rule = |position: Position| {
            let setting = |position| {
                let (since, seq, by) = (Timestamp(0), LedgerSeq(1), Actor::Open);
                Arc::new(Setting { position, release: None, text: None, since, seq, by, reason: String::new() })
            };
            let mut settings = Settings::new();
            settings.insert(place("agent:planner"), setting(position));
            if let Some(own) = own {
                settings.insert(place("tool:t"), setting(tools[own]));
            }
            let (agent, segment, tenant) = (agent(NAME), SegmentName::default_segment(), TenantId::shared());
            let caller = Caller { agent: &agent, segment: &segment, tenant: &tenant };
            Dialled::of(&settings, caller).unwrap().tool("t", side_effects)
        };
        let (here, lower) = (here.min(lower), here.max(lower));
        let strictness = |rule| match rule {
            ToolRule::Allowed => 0,
            ToolRule::NeedsApproval => 1,
            ToolRule::Withheld => 2,
        };
        prop_assert!(strictness(rule(Position::ALL[lower])) >= strictness(rule(Position::ALL[here])));
    }
}

#[test]
fn turns_that_mean_nothing_are_refused() {
    let play = Play::new();
    let check = |turned: Turn, expected: &str| {
        let refusal = turn(&play.world, &turned, &Actor::Open).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    };
    check(wish("agent:nobody", Position::Off), "no agent `nobody`");
    check(wish("segment:vip", Position::Off), "name the agent");
    check(wish("agent:planner segment:nowhere", Position::Off), "no segment `nowhere`");
    check(wish("tool:refund", Position::Canned), "a tool's dial has the positions");
    check(Turn { text: Some("hi".into()), ..wish("", Position::Off) }, "goes with position `canned`");
    check(Turn { release: Some(release_id(1)), ..wish("", Position::Off) }, "goes with position `fallback`");
    let long = Some("x".repeat(CANNED_BYTES_MAX + 1));
    check(Turn { text: long, ..wish("", Position::Canned) }, "at most 4000");
    assert_eq!(turn(&play.world, &wish("agent:planner", Position::Full), &Actor::Open), Ok(None));
}

#[test]
fn guardrails_turn_it_down_and_only_people_turn_it_up() {
    let mut play = Play::new();
    set(&mut play, "agent:planner", Position::ReadOnly);
    let by_itself = |position| turn(&play.world, &wish("agent:planner", position), &Actor::System);
    assert!(by_itself(Position::Off).unwrap().is_some());
    assert_eq!(by_itself(Position::ReadOnly), Ok(None));
    for up in [Position::Supervised, Position::Full] {
        let refusal = by_itself(up).unwrap_err().to_string();
        assert!(refusal.contains("stands at read_only, and only a person"), "{refusal}");
    }
}

#[test]
fn at_fallback_the_release_before_answers_in_its_own_deployment() {
    let mut play = Play::new();
    let first = deploy_now(&mut play, 1);
    let refusal = turn(&play.world, &wish("agent:planner", Position::Fallback), &Actor::Open).unwrap_err();
    assert!(refusal.to_string().contains("no release was active there before"), "{refusal}");
    let second = deploy_now(&mut play, 2);
    set(&mut play, "agent:planner", Position::Fallback);
    assert_eq!(answer(&play.world), Ok((first, release_id(1), Via::Dial)));
    let named = |release| Turn { release: Some(release), ..wish("agent:planner", Position::Fallback) };
    let refusal = turn(&play.world, &named(release_id(3)), &Actor::Open).unwrap_err();
    assert!(refusal.to_string().contains("never promoted"), "{refusal}");
    play.append(vec![turn(&play.world, &named(release_id(2)), &Actor::Open).unwrap().unwrap()]);
    assert_eq!(answer(&play.world), Ok((second, release_id(2), Via::Dial)));
    // A fallback that is rolled back later answers nobody, and no other takes its place.
    set(&mut play, "agent:planner", Position::Full);
    set(&mut play, "", Position::Fallback);
    play.append(vec![deploy::roll_back(&play.world, first, &TakeBack::default()).unwrap()]);
    let refusal = answer(&play.world).unwrap_err();
    assert!(
        refusal.contains("everything stands at fallback") && refusal.contains("nobody can answer"),
        "{refusal}"
    );
}

#[test]
fn a_finding_does_what_its_agents_ask_for_once() {
    let mut play = Play::new();
    deploy_now(&mut play, 1);
    let subject = Subject::Model { provider: "p".parse().unwrap(), snapshot: "m1-2026-01-01".into() };
    let sign = Sign::Served { served: "m9".into() };
    let find = |world: &World| drift::find(world, &subject, &sign, "another model answers", None).unwrap();
    assert_eq!(find(&play.world).len(), 1);
    let drift = Some(DriftSpec { on_finding: DriftAction::Dial(Position::ReadOnly) });
    let spec = crate::agent::AgentSpec { drift, ..play::spec(&[0, 1, 2]) };
    play.append(vec![Body::AgentPut { agent: agent(NAME), spec }]);
    let bodies = find(&play.world);
    assert!(matches!(
        &bodies[..],
        [Body::DriftFound { .. }, Body::DialSet { position: Position::ReadOnly, .. }]
    ));
    play.append(bodies);
    assert_eq!(play.world.findings_of(release_id(1)).count(), 1);
    assert_eq!(play.world.findings_of(release_id(2)).count(), 0);
    assert!(find(&play.world).is_empty(), "the same is open already");
    let finding = *play.world.findings.keys().next().unwrap();
    play.append(vec![drift::clear(&play.world, finding).unwrap()]);
    assert!(drift::clear(&play.world, finding).is_err());
    // Found again, it turns nothing up that a person turned further down.
    set(&mut play, "agent:planner", Position::Off);
    assert_eq!(find(&play.world).len(), 1);
}

#[test]
fn a_retired_release_is_no_fallback() {
    let mut play = Play::new();
    deploy_now(&mut play, 1);
    deploy_now(&mut play, 2);
    let named = Turn { release: Some(release_id(1)), ..wish("agent:planner", Position::Fallback) };
    turn(&play.world, &named, &Actor::Open).unwrap();
    play.append(vec![Body::ReleaseRetired { release: release_id(1) }]);
    let refusal = turn(&play.world, &named, &Actor::Open).unwrap_err().to_string();
    assert!(refusal.contains("is retired; name one that isn't"), "{refusal}");
}

#[test]
fn a_rollback_says_whose_fallback_it_takes() {
    let mut play = Play::new();
    let first = deploy_now(&mut play, 1);
    deploy_now(&mut play, 2);
    let check = |play: &Play, id: DeploymentId, expected: &[&str]| {
        let stranded = stranded(&play.world, &play.world.deployments[&id]);
        let said: Vec<String> = stranded.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with(expected) && said.ends_with("nobody answers for planner"), "{said}");
        }
    };
    check(&play, first, &[]);
    let named = Turn { release: Some(release_id(1)), ..wish("agent:planner", Position::Fallback) };
    let body = turn(&play.world, &named, &Actor::Open).unwrap().unwrap();
    play.append(vec![body]);
    let dial = DialSpec { fallback: Some(release_id(1)), ..DialSpec::default() };
    let spec = crate::agent::AgentSpec { dial: Some(Box::new(dial)), ..play::spec(&[0, 1, 2]) };
    play.append(vec![Body::AgentPut { agent: agent(NAME), spec }]);
    let both = ["the dial of agent planner stands at fallback", "the settings of agent planner name release"];
    check(&play, first, &both);
    let back = deploy::roll_back(&play.world, first, &TakeBack::default()).unwrap();
    play.append(vec![back]);
    check(&play, first, &both);
    // Another deployment holds it.
    deploy_now(&mut play, 1);
    check(&play, first, &[]);
}
