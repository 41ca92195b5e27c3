-- A third kind of task: a model is asked the items of a suite. What it was made of may be deleted after it has ended, so every reference lets go.
ALTER TABLE "tasks" DROP CONSTRAINT "tasks_kind_word";
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_kind_word" CHECK (kind IN ('train', 'verify', 'evaluate'));

CREATE TABLE "evaluation_tasks" (
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
  "suite" TEXT NOT NULL,
  "file_id" TEXT NOT NULL,
  "examples_file_id" TEXT,
  "fewshot" INTEGER,
  "items_max" INTEGER,
  "seed" INTEGER,
  "metadata" JSONB NOT NULL DEFAULT '{}',
  "request_hash" TEXT NOT NULL,
  "key_id" TEXT,
  "idempotency_key" TEXT,
  "done" INTEGER NOT NULL DEFAULT 0,
  "total" INTEGER,
  "items_sha256" TEXT,
  "summary" JSONB,

  CONSTRAINT "evaluation_tasks_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "evaluation_tasks_lambda_share" CHECK (lambda BETWEEN 0 AND 1),
  CONSTRAINT "evaluation_tasks_one_origin" CHECK (checkpoint_id IS NULL OR adapter_id IS NULL),
  CONSTRAINT "evaluation_tasks_done_range" CHECK (done >= 0 AND done <= coalesce(total, done))
);
CREATE UNIQUE INDEX "evaluation_tasks_project_id_idempotency_key_key" ON "evaluation_tasks"("project_id", "idempotency_key");
CREATE INDEX "evaluation_tasks_project_id_request_hash_idx" ON "evaluation_tasks"("project_id", "request_hash");
CREATE INDEX "evaluation_tasks_base_id_idx" ON "evaluation_tasks"("base_id");
CREATE INDEX "evaluation_tasks_run_id_idx" ON "evaluation_tasks"("run_id");
CREATE INDEX "evaluation_tasks_checkpoint_id_idx" ON "evaluation_tasks"("checkpoint_id");
CREATE INDEX "evaluation_tasks_adapter_id_idx" ON "evaluation_tasks"("adapter_id");

CREATE TABLE "evaluation_items" (
  "evaluation_id" TEXT NOT NULL,
  "index" INTEGER NOT NULL,
  "item_id" TEXT NOT NULL,
  "prompt" TEXT NOT NULL,
  "choices" JSONB,
  "scores" JSONB,
  "answer" TEXT,
  "expected" TEXT,
  "metrics" JSONB NOT NULL,
  "verdict" TEXT,

  CONSTRAINT "evaluation_items_pkey" PRIMARY KEY ("evaluation_id", "index"),
  CONSTRAINT "evaluation_items_index_not_negative" CHECK (index >= 0),
  CONSTRAINT "evaluation_items_verdict_word" CHECK (verdict IN ('right', 'wrong'))
);

ALTER TABLE "evaluation_tasks" ADD CONSTRAINT "evaluation_tasks_id_fkey" FOREIGN KEY ("id") REFERENCES "tasks"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "evaluation_tasks" ADD CONSTRAINT "evaluation_tasks_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "evaluation_tasks" ADD CONSTRAINT "evaluation_tasks_base_id_fkey" FOREIGN KEY ("base_id") REFERENCES "bases"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "evaluation_tasks" ADD CONSTRAINT "evaluation_tasks_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "evaluation_tasks" ADD CONSTRAINT "evaluation_tasks_checkpoint_id_fkey" FOREIGN KEY ("checkpoint_id") REFERENCES "checkpoints"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "evaluation_tasks" ADD CONSTRAINT "evaluation_tasks_adapter_id_fkey" FOREIGN KEY ("adapter_id") REFERENCES "uploaded_adapters"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "evaluation_items" ADD CONSTRAINT "evaluation_items_evaluation_id_fkey" FOREIGN KEY ("evaluation_id") REFERENCES "evaluation_tasks"("id") ON DELETE CASCADE ON UPDATE CASCADE;
