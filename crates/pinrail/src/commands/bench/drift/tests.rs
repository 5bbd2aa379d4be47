//! A few of the bench's worlds with every test run: real service, real provider over HTTP's types, days of a fake clock.

use super::*;

const WITH: Asked = Asked { logprobs: true, wobble: 0.15, error_rate: 0.1 };
const WITHOUT: Asked = Asked { logprobs: false, wobble: 0.15, error_rate: 0.1 };

async fn found(asked: Asked, swap: Option<(u32, f64)>, seed: u64, days: u32) -> Option<u32> {
    let world = World::open(seed, asked, swap).await.expect("the world opens");
    world.live(days).await.expect("its days pass").found
}

#[tokio::test]
async fn sixty_quiet_days_raise_nothing() {
    for seed in 0..2 {
        assert_eq!(found(WITH, None, seed, 60).await, None, "seed {seed} with log probabilities");
    }
    assert_eq!(found(WITHOUT, None, 3, 60).await, None, "seed 3 by samples");
}

#[tokio::test]
async fn a_swap_that_nothing_else_shows_is_found_within_a_week() {
    for (asked, seed) in [(WITH, 10), (WITH, 11), (WITHOUT, 12)] {
        let day = found(asked, Some((30, 2.0)), seed, 37).await;
        assert!(day.is_some_and(|day| (32..37).contains(&day)), "seed {seed}, {}: {day:?}", by(asked));
    }
}
