//! Gates that are stopped, cut off, run out of money, or build on others.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_budget_stops_it() {
    let mut bench = Bench::new(questions(40), |_| says("good")).await;
    bench.job.settings.budget_nano_usd = 10_000;
    bench.job.settings.concurrency = 3;
    let report = bench.report().await;
    // What is under way is waited for and kept.
    assert!((10..=12).contains(&bench.count()), "{}", bench.count());
    assert_eq!(bench.rows().await.len(), bench.count());
    assert_eq!(report.verdict, GateVerdict::Inconclusive);
    assert!(report.why.starts_with("budget: it cost $0.00001"), "{}", report.why);
    // Nothing more is asked when it goes on, since that is spent.
    let asked = bench.count();
    assert_eq!(bench.report().await, report);
    assert_eq!(bench.count(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_suffices_for_the_last_answer_changes_nothing() {
    let mut bench = Bench::new(questions(2), |_| says("good")).await;
    bench.job.settings.budget_nano_usd = 8_000;
    let report = bench.report().await;
    assert!(!report.why.contains("budget"), "{}", report.why);
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_was_stopped_goes_on_without_asking_twice() {
    let bench = Bench::new(questions(10), |_| says("good")).await;
    let stop = async {
        let mut told = bench.told.subscribe();
        told.wait_for(|progress| progress.done == 7).await.unwrap();
        bench.stop.send_replace(true);
    };
    let (ended, ()) = tokio::join!(bench.run(), stop);
    assert_eq!(ended.unwrap(), Ended::Stopped);
    // The one that was under way was ended, and not kept.
    assert_eq!((bench.count(), bench.rows().await.len()), (8, 7));
    bench.stop.send_replace(false);
    bench.report().await;
    assert_eq!((bench.count(), bench.rows().await.len()), (41, 40));
}

/// I9: after a kill, all that was kept is there, and nothing of it is asked again.
#[tokio::test(start_paused = true)]
async fn a_gate_that_was_cut_off_goes_on_where_it_was() {
    for kept in [1, 3, 19, 34] {
        let mut bench = Bench::new(questions(10), |_| says("good")).await;
        bench.job.settings.concurrency = 5;
        let cut = async {
            let mut told = bench.told.subscribe();
            told.wait_for(|progress| progress.done >= kept).await.unwrap();
        };
        // Whichever comes first drops the other, as a kill does.
        tokio::select! {
            ended = bench.run() => panic!("{ended:?}"),
            () = cut => {}
        }
        bench.fake.runs.lock().unwrap().clear();
        let there = bench.rows().await.len();
        let asked = bench.count();
        bench.report().await;
        assert_eq!((bench.rows().await.len(), bench.count() - asked), (40, 40 - there));
        assert_eq!(bench.progress().spent_nano_usd, 40_000);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_stay_unless_they_are_to_be_asked_for_again() {
    let mut bench = Bench::new(questions(40), |asked| match (asked.said(), asked.number) {
        ("q3", ..160) => Err(AskFailed::Lasting("a bad day".to_owned())),
        _ => says("good"),
    })
    .await;
    bench.report().await;
    assert_eq!((bench.count(), bench.progress().errors), (160, 4));
    bench.report().await;
    assert_eq!((bench.count(), bench.progress().errors), (160, 4));
    bench.job.retry_errors = true;
    bench.report().await;
    assert_eq!((bench.count(), bench.progress().errors), (164, 0));
    assert!(!bench.rows().await.iter().any(is_error));
}

#[tokio::test(start_paused = true)]
async fn answers_of_other_gates_count_only_when_asked_for() {
    let mut bench = Bench::new(questions(4), |_| says("good")).await;
    bench.report().await;
    assert_eq!(bench.count(), 16);
    bench.record(2).await;
    bench.job.gate = gate(2);
    bench.report().await;
    assert_eq!(bench.count(), 32);
    bench.record(3).await;
    bench.job.gate = gate(3);
    bench.job.settings.reuse = true;
    bench.job.settings.repeats = 3;
    bench.job.settings.repeats_max = 3;
    bench.report().await;
    assert_eq!(bench.count(), 32 + 8);
    let rows = bench.rows().await;
    let reused = rows.iter().filter(|row| row.reused == Some(gate(2))).count();
    assert_eq!((rows.len(), reused), (24, 16));
    let progress = bench.progress();
    assert_eq!((progress.reused, progress.spent_nano_usd), (16, 8_000));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_fails_the_gate_and_loses_nothing_kept() {
    let bench = Bench::new(questions(3), |_| says("good")).await;
    let full = StoreError::Damaged("a bad sector".to_owned());
    bench.store.fail_next(1, pinrail_store::memory::Strike::BeforeEffect, &full);
    assert!(matches!(bench.run().await, Err(RunFailed::Store(_))));
    assert_eq!(bench.rows().await.len(), 0);
    bench.report().await;
    assert_eq!(bench.rows().await.len(), 12);
}
