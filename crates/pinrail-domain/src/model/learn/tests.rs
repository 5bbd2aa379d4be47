use super::*;

const NOW: Timestamp = Timestamp(1_795_132_800_000); // 2026-11-20

fn fact(id: &str) -> Fact {
    Fact { id: id.to_owned(), ..Fact::default() }
}

fn day(text: &str) -> Option<Timestamp> {
    Date::parse(text).map(Date::start)
}

fn source(part: &str, whole: bool, models: Vec<Fact>) -> Source {
    Source { part: part.to_owned(), from: "GET \"https://x\"/models".to_owned(), whole, models }
}

fn learnt(layers: &Layers, before: Option<&Catalogue>, source: Source) -> (Catalogue, Changes) {
    let (text, changes) = learn(layers, before, &[source], NOW).unwrap();
    (Catalogue::from_toml(&text).unwrap(), changes)
}

#[test]
fn what_a_source_says_is_laid_over_and_told() {
    let layers = Layers::embedded(None);
    let price = PerToken { input: 2.5e-6, cached_input: Some(1.0e-6), output: 1.0e-5 };
    let facts = vec![
        Fact { retires: day("2026-12-01"), ..fact("gpt-4o-2024-08-06") },
        Fact { price: Some(price), ..fact("gpt-9-2027-01-05") },
        fact("gpt-9"),
    ];
    let (first, changes) = learnt(&layers, None, source("openai", false, facts.clone()));
    let retires = Changed {
        provider: "openai".to_owned(),
        id: "gpt-4o-2024-08-06".to_owned(),
        field: "retires".to_owned(),
        before: Some("2027-01-14".to_owned()),
        after: Some("2026-12-01".to_owned()),
    };
    assert_eq!(changes.changed, [retires]);
    let added: Vec<_> = changes.added.iter().map(|one| (&*one.id, &*one.identity)).collect();
    assert_eq!(added, [("gpt-9", "floating"), ("gpt-9-2027-01-05", "pinned")]);
    assert_eq!(changes.added[1].price.as_deref(), Some("$2.50 in, $1.00 from cache, $10.00 out"));
    assert_eq!(changes.unlisted, [], "a list that isn't whole says nothing of what it lacks");
    let in_force = layers.with(Some(&first));
    assert!(matches!(in_force.judge("openai", "gpt-4o-2024-08-06"), Identity::Pinned { .. }));
    // Again, it changes nothing; and what a source leaves out stays known.
    let (second, changes) = learnt(&layers, Some(&first), source("openai", false, facts));
    assert_eq!(changes, Changes::default());
    let (third, changes) =
        learnt(&layers, Some(&second), source("openai", false, vec![fact("gpt-9-2027-01-05")]));
    assert_eq!(changes, Changes::default());
    assert!(layers.with(Some(&third)).price("openai", "gpt-9-2027-01-05").is_some());
}

#[test]
fn a_model_that_a_list_lacks_is_told_and_never_retired() {
    let layers = Layers::embedded(None);
    let (_, changes) = learnt(&layers, None, source("openai", true, vec![fact("gpt-4o-2024-11-20")]));
    let gone = |id: &str| changes.unlisted.iter().any(|one| one.id == id);
    assert!(gone("gpt-4o-2024-08-06"));
    assert!(!gone("gpt-4o-2024-11-20"));
    assert!(!gone("gpt-4-0613"), "it was retired before");
    assert!(changes.changed.is_empty(), "{changes:?}");
    let (_, changes) = learnt(&layers, None, source("openai", true, Vec::new()));
    assert_eq!(changes, Changes::default(), "an empty list is no list");
}

#[test]
fn the_users_own_file_wins() {
    let own = r#"version = 1
        as_of = "2026-11-01"
        [[providers.openai.groups]]
        source = "our contract"
        as_of = "2026-11-01"
        models = [{ id = "gpt-4o-2024-08-06", retires = "2028-01-01" }]"#;
    let layers = Layers::embedded(Some(Catalogue::from_toml(own).unwrap()));
    let facts = vec![Fact { retires: day("2026-12-01"), ..fact("gpt-4o-2024-08-06") }];
    let (catalogue, changes) = learnt(&layers, None, source("openai", false, facts));
    assert_eq!(changes, Changes::default());
    let listed = layers.with(Some(&catalogue)).listed(Some("openai"), NOW);
    let entry = listed.iter().find(|one| one.id == "gpt-4o-2024-08-06").unwrap();
    assert_eq!((entry.retires.as_deref(), &*entry.source), (Some("2028-01-01"), "our contract"));
}

#[test]
fn a_name_is_floating_only_as_another_name_of_a_pin() {
    let layers = Layers::embedded(None);
    let named = |id: &str, aliases: &[&str]| Fact {
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        ..fact(id)
    };
    // Mistral lists every name by itself, each with all the others.
    let facts = vec![
        named("magic-large-2611", &["magic-large"]),
        named("magic-large", &["magic-large-2611"]),
        named("odd", &["even"]),
        named("even", &["odd"]),
    ];
    let (catalogue, _) = learnt(&layers, None, source("mistral", true, facts));
    let in_force = layers.with(Some(&catalogue));
    let check = |id: &str, expected: &str| assert_eq!(word(&in_force.judge("mistral", id)), expected, "{id}");
    check("magic-large-2611", "pinned");
    check("magic-large", "floating");
    check("odd", "unknown");
}

#[test]
fn strange_ids_and_self_contradictions_do_no_harm() {
    let layers = Layers::embedded(None);
    let facts = vec![
        fact(""),
        fact(&"x".repeat(300)),
        fact("a\nb"),
        fact("quote\"d \\ id"),
        Fact { deprecated: day("2027-01-01"), retires: day("2026-12-01"), ..fact("backwards") },
    ];
    let (catalogue, changes) = learnt(&layers, None, source("openai", false, facts));
    assert_eq!(catalogue.ids("openai").collect::<Vec<_>>(), ["backwards", "quote\"d \\ id"]);
    assert_eq!(changes.added.len(), 2);
}

#[test]
fn knowledge_gets_stale() {
    let day = 86_400_000;
    assert!(!is_stale(NOW, NOW.plus_ms(STALE_DAYS * day)));
    assert!(is_stale(NOW, NOW.plus_ms(STALE_DAYS * day + 1)));
    assert!(!is_stale(NOW, Timestamp(0)), "a clock that went back makes nothing stale");
}
