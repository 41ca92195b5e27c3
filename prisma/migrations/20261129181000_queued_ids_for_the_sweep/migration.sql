-- Before the statistics know of a long queue the planner takes this small index for the cheapest way to any queued task, and reads all of it.
-- Only the sweep through the backlog says `id > ''` (reconcile/outbox.ts), so only the sweep can be given it.
DROP INDEX "tasks_queued_ids";
CREATE INDEX "tasks_queued_ids" ON "tasks" (id) WHERE status = 'queued' AND deleted_at IS NULL AND id > '';
