-- The life of work (queue, claim, lease, end) goes from runs into tasks; a run is a task of kind 'train' and keeps its id.

CREATE TABLE "tasks" (
    "id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "pool" TEXT NOT NULL DEFAULT 'default',
    "priority" INTEGER NOT NULL DEFAULT 50,
    "status" TEXT NOT NULL,
    "state" TEXT,
    "state_reason" JSONB,
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "submission" INTEGER NOT NULL DEFAULT 1,
    "max_attempts" INTEGER NOT NULL DEFAULT 10,
    "error_code" TEXT,
    "error_message" TEXT,
    "error_param" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "queued_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "deleted_at" TIMESTAMPTZ(3)
);

INSERT INTO "tasks" (id, kind, project_id, pool, priority, status, state, state_reason, attempt, submission, max_attempts,
  error_code, error_message, error_param, created_at, queued_at, started_at, finished_at, deleted_at)
SELECT id, 'train', project_id, pool, priority, status, state, state_reason, attempt, submission, max_attempts,
  error_code, error_message, error_param, created_at, queued_at, started_at, finished_at, deleted_at
FROM "runs";

ALTER TABLE "tasks"
  ADD CONSTRAINT "tasks_pkey" PRIMARY KEY ("id"),
  ADD CONSTRAINT "tasks_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE,
  ADD CONSTRAINT "tasks_kind_word" CHECK (kind IN ('train')),
  ADD CONSTRAINT "tasks_status_word" CHECK (status IN ('validating_files', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  ADD CONSTRAINT "tasks_state_word" CHECK (state IN ('provisioning', 'lost_contact', 'draining', 'checkpointing', 'pausing', 'cancelling')),
  ADD CONSTRAINT "tasks_attempt_not_negative" CHECK (attempt >= 0),
  ADD CONSTRAINT "tasks_submission_positive" CHECK (submission >= 1),
  ADD CONSTRAINT "tasks_max_attempts_positive" CHECK (max_attempts >= 1),
  ADD CONSTRAINT "tasks_priority_range" CHECK (priority BETWEEN 0 AND 100),
  ADD CONSTRAINT "tasks_terminal_has_end" CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
  ADD CONSTRAINT "tasks_failed_has_error" CHECK (status <> 'failed' OR (error_code IS NOT NULL AND error_message IS NOT NULL));

CREATE INDEX "tasks_project_id_created_at_id_idx" ON "tasks"("project_id", "created_at" DESC, "id" DESC);

-- What a worker looks for: the best queued task of its pool.
CREATE INDEX "tasks_claimable" ON "tasks" (pool, priority DESC, queued_at, id) WHERE status = 'queued' AND deleted_at IS NULL;

-- Fair share counts what a project has running.
CREATE INDEX "tasks_running" ON "tasks" (project_id) WHERE status = 'running';

-- A file that an unfinished task needs cannot be deleted.
CREATE INDEX "tasks_unfinished" ON "tasks" (project_id) WHERE finished_at IS NULL;

-- Attempts, events and log lines are the task's.
ALTER TABLE "attempts" DROP CONSTRAINT "attempts_run_id_fkey";
ALTER TABLE "attempts" RENAME COLUMN "run_id" TO "task_id";
ALTER TABLE "attempts" ADD CONSTRAINT "attempts_task_id_fkey" FOREIGN KEY ("task_id") REFERENCES "tasks"("id") ON DELETE CASCADE ON UPDATE CASCADE;

ALTER TABLE "events" DROP CONSTRAINT "events_run_id_fkey";
ALTER TABLE "events" RENAME COLUMN "run_id" TO "task_id";
ALTER TABLE "events" ADD CONSTRAINT "events_task_id_fkey" FOREIGN KEY ("task_id") REFERENCES "tasks"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER INDEX "events_run_id_seq_idx" RENAME TO "events_task_id_seq_idx";

ALTER TABLE "log_lines" DROP CONSTRAINT "log_lines_run_id_fkey";
ALTER TABLE "log_lines" RENAME COLUMN "run_id" TO "task_id";
ALTER TABLE "log_lines" ADD CONSTRAINT "log_lines_task_id_fkey" FOREIGN KEY ("task_id") REFERENCES "tasks"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER INDEX "log_lines_run_id_seq_idx" RENAME TO "log_lines_task_id_seq_idx";
ALTER INDEX "log_lines_run_id_attempt_line_key" RENAME TO "log_lines_task_id_attempt_line_key";

-- What a run no longer holds itself. Checks and indexes that name a column go with it.
ALTER TABLE "runs"
  DROP COLUMN "submission", DROP COLUMN "status", DROP COLUMN "state", DROP COLUMN "state_reason", DROP COLUMN "pool",
  DROP COLUMN "priority", DROP COLUMN "max_attempts", DROP COLUMN "attempt", DROP COLUMN "error_code", DROP COLUMN "error_message",
  DROP COLUMN "error_param", DROP COLUMN "created_at", DROP COLUMN "queued_at", DROP COLUMN "started_at", DROP COLUMN "finished_at",
  DROP COLUMN "deleted_at",
  ADD CONSTRAINT "runs_id_fkey" FOREIGN KEY ("id") REFERENCES "tasks"("id") ON DELETE CASCADE ON UPDATE CASCADE;

CREATE INDEX "runs_project_id_request_hash_idx" ON "runs"("project_id", "request_hash");
