-- Journals are append-only still, but for retention, which drops whole days that the ledger names.
DROP TRIGGER runs_whole;
CREATE TRIGGER runs_whole BEFORE DELETE ON runs
WHEN NOT EXISTS (SELECT 1 FROM permits WHERE what = 'collect')
BEGIN SELECT RAISE(ABORT, 'runs are append-only'); END;
DROP TRIGGER run_events_whole;
CREATE TRIGGER run_events_whole BEFORE DELETE ON run_events
WHEN NOT EXISTS (SELECT 1 FROM permits WHERE what = 'collect')
BEGIN SELECT RAISE(ABORT, 'journals are append-only'); END;
