-- How often the ledger moved something that runs are routed by: a start may ask that nothing did since it was decided.

CREATE TABLE ledger_epoch (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    epoch INTEGER NOT NULL
) STRICT;

INSERT INTO ledger_epoch (only, epoch)
SELECT 1, count(*) FROM ledger
WHERE CASE WHEN json_valid(entry) THEN entry ->> '$.body.type' END IN (
    'agent_put', 'agent_removed', 'deployment_opened', 'deployment_promoted', 'deployment_rolled_back', 'rollout_step',
    'rollout_resumed', 'weight_set', 'dial_set'
);
