-- oldest: 1
-- concurrently
--
-- Lists by what most runs have in common: where hardly any run has it, walking all of them newest first takes a second a million.

-- How runs ended, well or badly. Open runs cost it nothing.
CREATE INDEX runs_by_outcome ON pinrail.runs (outcome, id) WHERE outcome IS NOT NULL;
-- Whether a run is one call by itself.
CREATE INDEX runs_by_single ON pinrail.runs (single, id);
-- A tenant's runs, those of callers that name none among them.
CREATE INDEX runs_of_tenant ON pinrail.runs (tenant, id);
-- A replica's runs, and those of before there were several.
CREATE INDEX runs_of_replica ON pinrail.runs (replica, id);
