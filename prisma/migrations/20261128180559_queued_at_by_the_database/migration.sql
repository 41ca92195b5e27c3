-- By the clock that claims go by, not by that of the process that queues the task.
ALTER TABLE "tasks" ALTER COLUMN "queued_at" SET DEFAULT clock_timestamp();
