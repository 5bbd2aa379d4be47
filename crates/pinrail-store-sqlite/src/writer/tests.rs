//! What shares a transaction.

use super::*;

struct Load(Kind, usize);

impl Operation for Load {
    fn kind(&self) -> Kind {
        self.0
    }

    fn rows(&self) -> usize {
        self.1
    }

    fn carry_out(&mut self, _part: usize, _db: &Connection) -> Result<(), StoreError> {
        Ok(())
    }

    fn fail(&mut self, _part: usize, _error: &StoreError) {}

    fn answer(self: Box<Self>) {}
}

/// I7
#[test]
fn the_ledger_goes_first_and_no_group_is_long() {
    use Kind::{Journal, Ledger, State};
    let check = |waiting: &[(Kind, usize)], expected: &[&[(Kind, usize)]]| {
        let load = |(kind, rows): &(Kind, usize)| Box::new(Load(*kind, *rows)) as Box<dyn Operation>;
        let mut pending: Vec<_> = waiting.iter().map(load).collect();
        for group in expected {
            let next = next_group(&mut pending);
            let next: Vec<_> = next.iter().map(|operation| (operation.kind(), operation.rows())).collect();
            assert_eq!(next, *group, "of {waiting:?}");
        }
        assert!(pending.is_empty(), "{waiting:?}");
    };
    check(&[(Journal, 1), (State, 9), (Journal, 2)], &[&[(Journal, 1), (State, 9), (Journal, 2)]]);
    check(
        &[(State, 9), (Ledger, 1), (State, 8), (Ledger, 2)],
        &[&[(Ledger, 1), (Ledger, 2), (State, 9), (State, 8)]],
    );
    check(&[(State, ROWS_MAX), (Ledger, 1)], &[&[(Ledger, 1)], &[(State, ROWS_MAX)]]);
    check(
        &[(State, ROWS_MAX - 1), (Journal, 1), (Journal, 1)],
        &[&[(State, ROWS_MAX - 1), (Journal, 1)], &[(Journal, 1)]],
    );
    check(&[(State, 9 * ROWS_MAX), (State, 1)], &[&[(State, 9 * ROWS_MAX)], &[(State, 1)]]);
}
