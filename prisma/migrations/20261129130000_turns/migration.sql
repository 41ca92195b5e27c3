-- A claim jumps along this index from priority to priority and from project to project and never reads the whole queue (work/claim.ts);
-- the places in a queue are read in the order of `tasks_claimable` as before.
CREATE INDEX "tasks_by_turn" ON "tasks" (pool, priority DESC, project_id, queued_at, id) WHERE status = 'queued' AND deleted_at IS NULL;
