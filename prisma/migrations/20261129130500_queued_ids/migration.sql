-- The reconciler walks the queued tasks by id, page by page; without it each page would step over every task that has ended.
CREATE INDEX "tasks_queued_ids" ON "tasks" (id) WHERE status = 'queued' AND deleted_at IS NULL;
