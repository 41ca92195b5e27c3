-- Runs that answer one question. The runs are the state: which of its cells has a run, and what that did, decides what runs next.
CREATE TABLE "experiments" (
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "base_id" TEXT NOT NULL,
  "status" TEXT NOT NULL DEFAULT 'running',
  "reason" TEXT,
  "request" JSONB NOT NULL,
  "request_hash" TEXT NOT NULL,
  "plan" JSONB NOT NULL,
  "template_date" TEXT NOT NULL,
  "revision" INTEGER NOT NULL DEFAULT 1,
  "is_resuming" BOOLEAN NOT NULL DEFAULT false,
  "cloned_from" TEXT,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "finished_at" TIMESTAMPTZ(3),

  CONSTRAINT "experiments_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "experiments_status_word" CHECK (status IN ('running', 'paused', 'succeeded', 'failed', 'cancelled')),
  CONSTRAINT "experiments_ended" CHECK ((finished_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'cancelled')))
);
CREATE INDEX "experiments_project_id_created_at_id_idx" ON "experiments"("project_id", "created_at" DESC, "id" DESC);
CREATE INDEX "experiments_status_idx" ON "experiments"("status");
-- The name finds it again; one that was cancelled frees it.
CREATE UNIQUE INDEX "experiments_name" ON "experiments"("project_id", "name") WHERE status <> 'cancelled';

ALTER TABLE "experiments" ADD CONSTRAINT "experiments_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "experiments" ADD CONSTRAINT "experiments_base_id_fkey" FOREIGN KEY ("base_id") REFERENCES "bases"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "runs" ADD COLUMN "experiment_id" TEXT,
  ADD COLUMN "experiment_arm" TEXT,
  ADD COLUMN "experiment_phase" TEXT,
  ADD COLUMN "experiment_cell" TEXT;
CREATE UNIQUE INDEX "runs_experiment_id_experiment_cell_key" ON "runs"("experiment_id", "experiment_cell");
ALTER TABLE "runs" ADD CONSTRAINT "runs_experiment_id_fkey" FOREIGN KEY ("experiment_id") REFERENCES "experiments"("id") ON DELETE SET NULL ON UPDATE CASCADE;
