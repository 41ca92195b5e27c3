-- A fourth kind of task: what the update of a model is like, or what it memorised. References let go when what they name is deleted, as those of evaluations do.
ALTER TABLE "tasks" DROP CONSTRAINT "tasks_kind_word";
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_kind_word" CHECK (kind IN ('train', 'verify', 'evaluate', 'analyse'));

CREATE TABLE "analysis_tasks" (
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "model" TEXT NOT NULL,
  "base_name" TEXT NOT NULL,
  "base_id" TEXT,
  "run_id" TEXT,
  "checkpoint_id" TEXT,
  "adapter_id" TEXT,
  "tuned_sha256" TEXT,
  "tuned_step" INTEGER,
  "lambda" DOUBLE PRECISION NOT NULL,
  "kind" TEXT NOT NULL,
  "ask" JSONB NOT NULL,
  "file_id" TEXT,
  "metadata" JSONB NOT NULL DEFAULT '{}',
  "request_hash" TEXT NOT NULL,
  "key_id" TEXT,
  "idempotency_key" TEXT,
  "done" INTEGER NOT NULL DEFAULT 0,
  "total" INTEGER,
  "summary" JSONB,

  CONSTRAINT "analysis_tasks_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "analysis_tasks_kind_word" CHECK (kind IN ('weights', 'canaries')),
  CONSTRAINT "analysis_tasks_lambda_share" CHECK (lambda BETWEEN 0 AND 1),
  CONSTRAINT "analysis_tasks_one_origin" CHECK (checkpoint_id IS NULL OR adapter_id IS NULL),
  CONSTRAINT "analysis_tasks_done_range" CHECK (done >= 0 AND done <= coalesce(total, done))
);
CREATE UNIQUE INDEX "analysis_tasks_project_id_idempotency_key_key" ON "analysis_tasks"("project_id", "idempotency_key");
CREATE INDEX "analysis_tasks_project_id_request_hash_idx" ON "analysis_tasks"("project_id", "request_hash");
CREATE INDEX "analysis_tasks_base_id_idx" ON "analysis_tasks"("base_id");
CREATE INDEX "analysis_tasks_run_id_idx" ON "analysis_tasks"("run_id");
CREATE INDEX "analysis_tasks_checkpoint_id_idx" ON "analysis_tasks"("checkpoint_id");
CREATE INDEX "analysis_tasks_adapter_id_idx" ON "analysis_tasks"("adapter_id");

CREATE TABLE "analysis_rows" (
  "analysis_id" TEXT NOT NULL,
  "index" INTEGER NOT NULL,
  "row" JSONB NOT NULL,
  "singular_values" DOUBLE PRECISION[],

  CONSTRAINT "analysis_rows_pkey" PRIMARY KEY ("analysis_id", "index"),
  CONSTRAINT "analysis_rows_index_not_negative" CHECK (index >= 0)
);

ALTER TABLE "analysis_tasks" ADD CONSTRAINT "analysis_tasks_id_fkey" FOREIGN KEY ("id") REFERENCES "tasks"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "analysis_tasks" ADD CONSTRAINT "analysis_tasks_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "analysis_tasks" ADD CONSTRAINT "analysis_tasks_base_id_fkey" FOREIGN KEY ("base_id") REFERENCES "bases"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "analysis_tasks" ADD CONSTRAINT "analysis_tasks_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "analysis_tasks" ADD CONSTRAINT "analysis_tasks_checkpoint_id_fkey" FOREIGN KEY ("checkpoint_id") REFERENCES "checkpoints"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "analysis_tasks" ADD CONSTRAINT "analysis_tasks_adapter_id_fkey" FOREIGN KEY ("adapter_id") REFERENCES "uploaded_adapters"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "analysis_rows" ADD CONSTRAINT "analysis_rows_analysis_id_fkey" FOREIGN KEY ("analysis_id") REFERENCES "analysis_tasks"("id") ON DELETE CASCADE ON UPDATE CASCADE;
