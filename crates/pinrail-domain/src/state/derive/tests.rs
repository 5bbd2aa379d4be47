use proptest::prelude::*;

use super::*;

/// A small world of records and readings.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// By place, from 1: the run that wrote it, its origin, its parents.
    records: Vec<(Option<RunId>, Origin, Vec<StateSeq>)>,
    readings: Vec<Reading>,
}

impl Facts {
    fn seqs(&self) -> impl Iterator<Item = (StateSeq, &(Option<RunId>, Origin, Vec<StateSeq>))> {
        self.records.iter().enumerate().map(|(n, record)| (StateSeq(n as u64 + 1), record))
    }

    fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Children(parents) => Answer::Children(
                self.seqs()
                    .flat_map(|(record, (_, _, named))| {
                        named.iter().map(move |parent| Child { record, parent: *parent })
                    })
                    .filter(|child| parents.contains(&child.parent))
                    .collect(),
            ),
            Question::Readers(records) => {
                let read = |reading: &&Reading| records.contains(&reading.record);
                Answer::Readers(self.readings.iter().filter(read).copied().collect())
            }
            Question::Written { run, after, until } => Answer::Written(
                self.seqs()
                    .filter(|(seq, (by, _, _))| {
                        *by == Some(*run) && seq > after && until.is_none_or(|until| *seq <= until)
                    })
                    .map(|(record, (_, origin, _))| Writing { record, origin: *origin })
                    .collect(),
            ),
        }
    }

    fn closure(&self, seeds: &BTreeSet<StateSeq>) -> Derived {
        let mut closure = Closure::new(seeds.iter().copied());
        let mut asked = 0;
        while let Some(question) = closure.ask() {
            asked += 1;
            assert!(asked < 10_000, "it never ends");
            closure.answer(self.answer(&question));
        }
        closure.derived()
    }

    /// Looks at everything again until nothing is new.
    fn naive(&self, seeds: &BTreeSet<StateSeq>) -> BTreeSet<StateSeq> {
        let mut tainted = seeds.clone();
        loop {
            let is_new =
                |(seq, (run, origin, parents)): &(StateSeq, &(Option<RunId>, Origin, Vec<StateSeq>))| {
                    let misled =
                        |r: &Reading| Some(r.run) == *run && self.is_misled(&tainted, r) && *seq > r.at;
                    let concluded = *origin != Origin::External && self.readings.iter().any(misled);
                    !tainted.contains(seq)
                        && (concluded || parents.iter().any(|parent| tainted.contains(parent)))
                };
            let new: Vec<StateSeq> = self.seqs().filter(is_new).map(|(seq, _)| seq).collect();
            if new.is_empty() {
                return tainted;
            }
            tainted.extend(new);
        }
    }

    fn is_misled(&self, tainted: &BTreeSet<StateSeq>, reading: &Reading) -> bool {
        tainted.contains(&reading.record) && reading.at >= reading.record
    }
}

fn run(n: u8) -> RunId {
    RunId(u128::from(n))
}

fn facts() -> impl Strategy<Value = Facts> {
    let origin = prop_oneof![3 => Just(Origin::Run), 1 => Just(Origin::External), 1 => Just(Origin::Ingest)];
    let record = (0..5_u8, origin, prop::collection::vec(1..20_u64, 0..2));
    let reading = (0..5_u8, 1..25_u64, 0..12_u64);
    (prop::collection::vec(record, 0..25), prop::collection::vec(reading, 0..20)).prop_map(
        |(records, readings)| {
            let record = |(n, (by, origin, back)): (usize, (u8, Origin, Vec<u64>))| {
                // Parents come before.
                let parents = back.iter().filter_map(|back| (n as u64 + 1).checked_sub(*back));
                let parents = parents.filter(|seq| *seq > 0).map(StateSeq).collect();
                ((origin != Origin::Ingest).then(|| run(by)), origin, parents)
            };
            let reading = |(by, record, later): (u8, u64, u64)| Reading {
                run: run(by),
                record: StateSeq(record),
                at: StateSeq((record + later).saturating_sub(2)),
            };
            Facts {
                records: records.into_iter().enumerate().map(record).collect(),
                readings: readings.into_iter().map(reading).collect(),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_closure_is_the_fixpoint_and_gives_true_reasons(
        facts in facts(), seeds in prop::collection::btree_set(1..25_u64, 0..4),
    ) {
        let last = facts.records.len() as u64;
        let seeds: BTreeSet<StateSeq> = seeds.into_iter().filter(|seq| *seq <= last).map(StateSeq).collect();
        let derived = facts.closure(&seeds);
        let expected = facts.naive(&seeds);
        prop_assert_eq!(derived.records.keys().copied().collect::<BTreeSet<_>>(), expected.clone());
        let misled: BTreeSet<RunId> =
            facts.readings.iter().filter(|r| facts.is_misled(&expected, r)).map(|r| r.run).collect();
        prop_assert_eq!(derived.runs.keys().copied().collect::<BTreeSet<_>>(), misled);
        for (run, Misled { record, at }) in &derived.runs {
            let of_run = facts.readings.iter().filter(|r| r.run == *run && facts.is_misled(&expected, r));
            prop_assert_eq!(of_run.map(|r| r.at).min(), Some(*at));
            let reading = Reading { run: *run, record: *record, at: *at };
            prop_assert!(facts.readings.contains(&reading));
        }
        for (seq, cause) in &derived.records {
            let (by, origin, parents) = &facts.records[seq.0 as usize - 1];
            match cause {
                Cause::Seed => prop_assert!(seeds.contains(seq)),
                Cause::Parent { record } => prop_assert!(parents.contains(record)),
                Cause::Run { run, record, at } => {
                    prop_assert_eq!(*by, Some(*run));
                    prop_assert!(*origin != Origin::External && record <= at && at < seq);
                    let reading = Reading { run: *run, record: *record, at: *at };
                    prop_assert!(facts.readings.contains(&reading));
                }
            }
            prop_assert_eq!(derived.chain(*seq).last().copied(), Some(Cause::Seed));
            prop_assert_eq!(derived.taken_along().contains(*seq), *cause != Cause::Seed);
        }
        prop_assert_eq!(derived.taken_along().len() as usize, derived.records.len() - seeds.len());
    }
}

#[test]
fn a_run_taints_what_it_concludes_after_the_read_and_not_what_it_is_told() {
    let check = |what: &str, read_at: u64, origin, parents: Vec<StateSeq>, expected: bool| {
        // 1 is poison, 2 lies between, 3 is the run's.
        let records = vec![
            (None, Origin::Ingest, vec![]),
            (None, Origin::Ingest, vec![]),
            (Some(run(1)), origin, parents),
        ];
        let readings = vec![Reading { run: run(1), record: StateSeq(1), at: StateSeq(read_at) }];
        let derived = Facts { records, readings }.closure(&[StateSeq(1)].into());
        assert_eq!(derived.records.contains_key(&StateSeq(3)), expected, "{what}");
        assert_eq!(derived.runs.contains_key(&run(1)), read_at >= 1, "{what}");
        assert!(!derived.records.contains_key(&StateSeq(2)), "{what}");
    };
    check("concluded after the read", 2, Origin::Run, vec![], true);
    check("written before the read", 3, Origin::Run, vec![], false);
    check("read before there was poison", 0, Origin::Run, vec![], false);
    check("the user said it", 2, Origin::External, vec![], false);
    check("the user's word on poison", 2, Origin::External, vec![StateSeq(1)], true);
    check("a named parent", 0, Origin::Run, vec![StateSeq(1)], true);
    check("another parent", 0, Origin::Run, vec![StateSeq(2)], false);
}

/// A read that becomes tainted late, but happened early, opens the run's earlier writes, and only those.
#[test]
fn an_earlier_read_asks_for_the_rest_of_a_runs_writes() {
    let mut closure = Closure::new([StateSeq(1)]);
    let mut next = |expected: Question, answer: Answer| {
        assert_eq!(closure.ask(), Some(expected));
        closure.answer(answer);
    };
    let reading = |record, at| Reading { run: run(1), record: StateSeq(record), at: StateSeq(at) };
    next(Question::Children(vec![StateSeq(1)]), Answer::Children(vec![]));
    next(Question::Readers(vec![StateSeq(1)]), Answer::Readers(vec![reading(1, 9)]));
    // What wasn't asked for, here a record from before the read, isn't followed.
    let wrote = [8, 12].map(|seq| Writing { record: StateSeq(seq), origin: Origin::Run });
    next(Question::Written { run: run(1), after: StateSeq(9), until: None }, Answer::Written(wrote.to_vec()));
    let child = Child { record: StateSeq(13), parent: StateSeq(12) };
    next(Question::Children(vec![StateSeq(12)]), Answer::Children(vec![child]));
    next(Question::Children(vec![StateSeq(13)]), Answer::Children(vec![]));
    // A record that a closure with other seeds would know: here it isn't tainted, so it misleads nobody.
    next(
        Question::Readers(vec![StateSeq(12), StateSeq(13)]),
        Answer::Readers(vec![reading(5, 5), reading(1, 4)]),
    );
    next(
        Question::Written { run: run(1), after: StateSeq(4), until: Some(StateSeq(9)) },
        Answer::Written(vec![Writing { record: StateSeq(7), origin: Origin::Run }]),
    );
    next(Question::Children(vec![StateSeq(7)]), Answer::Children(vec![]));
    next(Question::Readers(vec![StateSeq(7)]), Answer::Readers(vec![]));
    assert_eq!(closure.ask(), None);
    let derived = closure.derived();
    assert_eq!(derived.taken_along().ranges(), [(StateSeq(7), StateSeq(7)), (StateSeq(12), StateSeq(13))]);
    let because = Cause::Run { run: run(1), record: StateSeq(1), at: StateSeq(9) };
    assert_eq!(derived.chain(StateSeq(13)), [Cause::Parent { record: StateSeq(12) }, because, Cause::Seed]);
}
