-- What a task needs of the worker that claims it. Tasks of before say nothing, and fit everywhere.
ALTER TABLE "tasks" ADD COLUMN "disk_bytes" BIGINT NOT NULL DEFAULT 0,
ADD COLUMN "memory_bytes" BIGINT NOT NULL DEFAULT 0;
