use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_commands_are_well_formed_and_all_show_examples() {
    fn check(command: &clap::Command, path: &str) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            assert!(sub.get_about().is_some(), "{path} says nothing of itself");
            check(sub, &path);
        }
        let nested = path.matches(' ').count() > 1;
        let shows = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(nested || shows.contains("Examples:"), "{path} shows no example");
    }
    let command = Cli::command();
    command.clone().debug_assert();
    check(&command, "pinrail");
}

#[test]
fn arguments_that_make_sense_parse_and_others_name_what_is_wrong() {
    let check = |line: &str, expected: Option<&str>| match (parse(line), expected) {
        (Ok(_), None) => {}
        (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{line}: {error}"),
        (Ok(_), Some(part)) => panic!("{line} parses, but should say {part}"),
        (Err(error), None) => panic!("{line}: {error}"),
    };
    check("pinrail deploy support=4f1c22 --now", None);
    check("pinrail deploy a=11aa22 b=sha256:33bb44 --weight 5% --segment s --reason r", None);
    check("pinrail deploy support=4f1c22", None);
    check("pinrail deploy support=4f1c22 --plan plan.toml --dry-run", None);
    check("pinrail deploy support=4f1c22 --plan plan.toml --now", Some("cannot be used with"));
    check("pinrail deployment promote 3 --override incident", None);
    check("pinrail gate record 3 --verdict maybe", Some("possible values"));
    check("pinrail gate run 3 --suite a --suite b --repeats 5 --budget 2.50 --reuse", None);
    check("pinrail gate run support --candidate 4f1c22 --incumbent 9b0c7e --detach", None);
    check("pinrail gate run 3 --incumbent 9b0c7e", Some("--candidate"));
    check("pinrail gate run 3 --budget much", Some("US dollars"));
    check("pinrail gate run 3 --dry-run --detach", Some("cannot be used with"));
    check("pinrail gate list --status done", Some("possible values"));
    check("pinrail gate show 7", Some("not a gate's id"));
    check("pinrail deploy support=4f1c22 --now --weight 5%", Some("cannot be used with"));
    check("pinrail deploy support --now", Some("expected AGENT=RELEASE"));
    check("pinrail deploy support=latest --now", Some("is not a release id"));
    check("pinrail deploy Support=4f1c22 --now", Some("not a valid agent name"));
    check("pinrail deploy support=4f1c22 --weight 500%", Some("not a share"));
    check("pinrail deployment rollback 3 --reason x", None);
    check("pinrail deployment rollback 3", Some("--reason"));
    check("pinrail deployment weight 3 0.25%", None);
    check("pinrail hold lift support --reason fixed", None);
    check("pinrail hold lift support", Some("--reason"));
    check("pinrail run list --status running --since 2h --json", None);
    check("pinrail run list --status done", Some("no run status"));
    check("pinrail run show run_1", Some("not a run id"));
    check("pinrail run tail --agent support", None);
    check("pinrail run create support --attribute plan=gold --queued", None);
    check("pinrail run create support --attribute plan", Some("NAME=VALUE"));
    check("pinrail vectors upsert kb - --external --embedder 4f1c22 --batch 100", None);
    check("pinrail vectors upsert kb kb.jsonl", Some("--run"));
    check("pinrail vectors upsert kb kb.jsonl --external --deployment 3", Some("cannot be used with"));
    check("pinrail vectors search kb --vector [1,0] --top 3 --exact --as-of 12.3", None);
    check("pinrail vectors search kb", Some("--vector"));
    check("pinrail vectors delete kb a b --deployment 3", None);
    check("pinrail vectors delete kb --external", Some("<KEY>"));
    check("pinrail vectors canaries kb --check c.jsonl --deployment 3", None);
    check("pinrail vectors canaries kb --check c.jsonl --set c.jsonl", Some("cannot be used with"));
    check("pinrail webhook put chat --url https://x --event a_*,b --agent support --secret-env S", None);
    check("pinrail webhook put chat", Some("--url"));
    check("pinrail webhook retry chat 7", None);
    check("pinrail webhook retry chat --all", None);
    check("pinrail webhook retry chat", Some("<SEQ"));
    check("pinrail webhook retry chat 7 --all", Some("cannot be used with"));
    check("pinrail key create x --scope run,read --tenant acme", None);
    check("pinrail key create x", Some("--scope"));
    check("pinrail key create x --scope root", Some("no scope `root`"));
    check("pinrail ledger verify --expect-head sha256:12", Some("not a digest"));
    check("pinrail status", None);
    check("pinrail --server http://x --json pointers", None);
    check("pinrail completions fish", None);
    // A key in the arguments would stay in the shell's history (I15).
    check("pinrail run list --key pr_1", Some("unexpected argument '--key'"));
}
