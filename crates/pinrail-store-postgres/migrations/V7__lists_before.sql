-- oldest: 1
-- What the indexes of V6 hold as well. A replica of before reads those, too.

DROP INDEX pinrail.runs_failed;
DROP INDEX pinrail.runs_by_tenant;
DROP INDEX pinrail.runs_by_replica;
