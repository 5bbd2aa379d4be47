use super::*;

const SCRIPT: &str = r#"
[[checkpoint]]
id = "a"
replaced_by = { at_request = 4, to = "b" }
[[checkpoint]]
id = "b"
[[checkpoint]]
id = "c"
[[alias]]
id = "latest"
checkpoint = "b"
rotate = [{ at_request = 3, to = "c" }, { after_seconds = 60, to = "b" }]
[[alias]]
id = "pin"
checkpoint = "b"
mask = true
rotate = [{ at_request = 2, to = "c" }]
"#;

fn world() -> (World, Instant) {
    let now = Instant::now();
    (World::new(&Script::from_toml(SCRIPT).unwrap(), on(now)), now)
}

fn on(at: Instant) -> Now {
    Now { at, unix_seconds: 0 }
}

fn ask(world: &mut World, model: &str, now: Instant) -> (String, String) {
    let serving = world.serve(model, 0, on(now)).unwrap();
    (serving.shown, serving.checkpoint.id.clone())
}

fn pair(shown: &str, answered_by: &str) -> (String, String) {
    (shown.to_owned(), answered_by.to_owned())
}

#[test]
fn an_alias_moves_at_its_request_and_at_its_time() {
    let (mut world, now) = world();
    assert_eq!(ask(&mut world, "latest", now), pair("b", "b"));
    assert_eq!(ask(&mut world, "latest", now), pair("b", "b"));
    assert_eq!(ask(&mut world, "latest", now), pair("c", "c"));
    assert_eq!(ask(&mut world, "latest", now + Duration::from_secs(59)), pair("c", "c"));
    assert_eq!(ask(&mut world, "latest", now + Duration::from_secs(60)), pair("b", "b"));
}

#[test]
fn a_mask_hides_the_swap() {
    let (mut world, now) = world();
    assert_eq!(ask(&mut world, "pin", now), pair("pin", "b"));
    assert_eq!(ask(&mut world, "pin", now), pair("pin", "c"));
}

#[test]
fn a_checkpoint_is_replaced_behind_its_id_also_through_other_names() {
    let (mut world, now) = world();
    world.rotate("latest", "a").unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&mut world, "a", now), pair("a", "a"));
    }
    assert_eq!(ask(&mut world, "latest", now), pair("a", "b"));
    assert_eq!(world.counters.served["b"], 1);
}

#[test]
fn a_move_by_hand_holds_until_the_next_step_is_due() {
    let (mut world, now) = world();
    world.rotate("latest", "a").unwrap();
    assert_eq!(ask(&mut world, "latest", now), pair("a", "a"));
    assert_eq!(ask(&mut world, "latest", now), pair("a", "a"));
    assert_eq!(ask(&mut world, "latest", now), pair("c", "c"));
    world.rotate("latest", "b").unwrap();
    assert_eq!(ask(&mut world, "latest", now), pair("b", "b"), "a step that happened doesn't happen again");
}

#[test]
fn a_change_of_rates_is_whole_or_refused() {
    let (mut world, now) = world();
    let half = Rate::new(0.5).unwrap();
    let both = BTreeMap::from([("error_rate".to_owned(), half), ("eror_rate".to_owned(), half)]);
    assert!(world.change_rates(None, &both, None).unwrap_err().to_string().contains("accuracy"));
    assert_eq!(world.serve("b", 0, on(now)).unwrap().rates.error_rate, Rate::default());
    let one = BTreeMap::from([("error_rate".to_owned(), half)]);
    assert!(world.change_rates(Some("latest"), &one, None).is_err(), "rates belong to checkpoints");
    world.change_rates(Some("b"), &one, None).unwrap();
    assert_eq!(world.serve("b", 0, on(now)).unwrap().rates.error_rate, half);
    assert_eq!(world.serve("c", 0, on(now)).unwrap().rates.error_rate, Rate::default());
}

#[test]
fn repeats_count_per_checkpoint_and_conversation_and_reset_forgets() {
    let (mut world, now) = world();
    let repeat = |world: &mut World, model: &str, conversation: u64| {
        world.serve(model, conversation, on(now)).unwrap().repeat
    };
    assert_eq!(repeat(&mut world, "b", 1), 0);
    assert_eq!(repeat(&mut world, "b", 2), 0);
    assert_eq!(repeat(&mut world, "b", 1), 1);
    assert_eq!(repeat(&mut world, "c", 1), 0);
    world.counters.in_flight = 2;
    world.reset(&Script::from_toml(SCRIPT).unwrap(), on(now));
    assert_eq!(repeat(&mut world, "b", 1), 0);
    assert_eq!(world.counters.in_flight, 2);
}
