-- Written by prisma migrate diff from schema.prisma, then by hand below the foreign keys.

-- CreateTable
CREATE TABLE "projects" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "projects_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_keys" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "hint" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_used_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "login_links" (
    "hash" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "used_at" TIMESTAMPTZ(3),

    CONSTRAINT "login_links_pkey" PRIMARY KEY ("hash")
);

-- CreateTable
CREATE TABLE "sessions" (
    "hash" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "sessions_pkey" PRIMARY KEY ("hash")
);

-- CreateTable
CREATE TABLE "files" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "filename" TEXT NOT NULL,
    "purpose" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "sha256" TEXT NOT NULL,
    "blob_key" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "status_details" TEXT,
    "format" TEXT,
    "rows" INTEGER,
    "problems" JSONB NOT NULL DEFAULT '[]',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "files_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "bases" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "blob_prefix" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "config" JSONB NOT NULL,
    "parameters" BIGINT NOT NULL,
    "context" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "bases_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "runs" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "base_id" TEXT NOT NULL,
    "submission" INTEGER NOT NULL DEFAULT 1,
    "status" TEXT NOT NULL,
    "state" TEXT,
    "state_reason" JSONB,
    "pool" TEXT NOT NULL DEFAULT 'default',
    "priority" INTEGER NOT NULL DEFAULT 50,
    "max_attempts" INTEGER NOT NULL DEFAULT 10,
    "attempt" INTEGER NOT NULL DEFAULT 0,
    "suffix" TEXT,
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "request" JSONB NOT NULL,
    "request_hash" TEXT NOT NULL,
    "key_id" TEXT,
    "idempotency_key" TEXT,
    "config" JSONB NOT NULL,
    "seed" INTEGER NOT NULL,
    "steps" INTEGER NOT NULL,
    "step" INTEGER NOT NULL DEFAULT 0,
    "trained_tokens" BIGINT NOT NULL DEFAULT 0,
    "tokens_per_second" DOUBLE PRECISION,
    "train_loss" DOUBLE PRECISION,
    "training_file_id" TEXT NOT NULL,
    "validation_file_id" TEXT,
    "result_file_id" TEXT,
    "fine_tuned_model" TEXT,
    "error_code" TEXT,
    "error_message" TEXT,
    "error_param" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "queued_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "runs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "attempts" (
    "run_id" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "project_id" TEXT NOT NULL,
    "worker_id" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "start_step" INTEGER NOT NULL DEFAULT 0,
    "lease_expires_at" TIMESTAMPTZ(3) NOT NULL,
    "progress_at" TIMESTAMPTZ(3),
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),
    "cause" TEXT,
    "message" TEXT,

    CONSTRAINT "attempts_pkey" PRIMARY KEY ("run_id","attempt")
);

-- CreateTable
CREATE TABLE "events" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "seq" BIGSERIAL NOT NULL,
    "level" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "message" TEXT NOT NULL,
    "data" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "events_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "metric_series" (
    "id" SERIAL NOT NULL,
    "project_id" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,

    CONSTRAINT "metric_series_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "metric_points" (
    "series_id" INTEGER NOT NULL,
    "step" INTEGER NOT NULL,
    "value" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "metric_points_pkey" PRIMARY KEY ("series_id","step")
);

-- CreateTable
CREATE TABLE "metric_rollups" (
    "series_id" INTEGER NOT NULL,
    "bucket" INTEGER NOT NULL,
    "n" INTEGER NOT NULL,
    "sum" DOUBLE PRECISION NOT NULL,
    "min" DOUBLE PRECISION NOT NULL,
    "max" DOUBLE PRECISION NOT NULL,
    "first_step" INTEGER NOT NULL,
    "first" DOUBLE PRECISION NOT NULL,
    "last_step" INTEGER NOT NULL,
    "last" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "metric_rollups_pkey" PRIMARY KEY ("series_id","bucket")
);

-- CreateTable
CREATE TABLE "checkpoints" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "step" INTEGER NOT NULL,
    "blob_key" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "sha256" TEXT NOT NULL,
    "metrics" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "checkpoints_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "adapters" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "blob_key" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "sha256" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "adapters_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "evaluations" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "run_id" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "file_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "step" INTEGER NOT NULL,
    "rows" INTEGER NOT NULL,
    "supervised_tokens" INTEGER NOT NULL,
    "loss" DOUBLE PRECISION NOT NULL,
    "token_accuracy" DOUBLE PRECISION NOT NULL,
    "exact_match" DOUBLE PRECISION,
    "samples" JSONB NOT NULL DEFAULT '[]',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "evaluations_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "workers" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "pool" TEXT NOT NULL DEFAULT 'default',
    "status" TEXT NOT NULL,
    "status_reason" TEXT,
    "host" TEXT NOT NULL,
    "pid" INTEGER NOT NULL,
    "version" TEXT NOT NULL,
    "device" JSONB NOT NULL,
    "cores" INTEGER NOT NULL,
    "memory_bytes" BIGINT NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "heartbeat_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "gone_at" TIMESTAMPTZ(3),

    CONSTRAINT "workers_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "log_lines" (
    "run_id" TEXT NOT NULL,
    "seq" BIGSERIAL NOT NULL,
    "project_id" TEXT NOT NULL,
    "attempt" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "level" TEXT NOT NULL,
    "message" TEXT NOT NULL,

    CONSTRAINT "log_lines_pkey" PRIMARY KEY ("seq")
);

-- CreateIndex
CREATE UNIQUE INDEX "projects_name_key" ON "projects"("name");

-- CreateIndex
CREATE UNIQUE INDEX "api_keys_hash_key" ON "api_keys"("hash");

-- CreateIndex
CREATE INDEX "api_keys_project_id_idx" ON "api_keys"("project_id");

-- CreateIndex
CREATE INDEX "files_project_id_created_at_id_idx" ON "files"("project_id", "created_at" DESC, "id" DESC);

-- CreateIndex
CREATE INDEX "bases_project_id_idx" ON "bases"("project_id");

-- CreateIndex
CREATE UNIQUE INDEX "runs_fine_tuned_model_key" ON "runs"("fine_tuned_model");

-- CreateIndex
CREATE INDEX "runs_project_id_request_hash_created_at_idx" ON "runs"("project_id", "request_hash", "created_at" DESC);

-- CreateIndex
CREATE INDEX "runs_project_id_created_at_id_idx" ON "runs"("project_id", "created_at" DESC, "id" DESC);

-- CreateIndex
CREATE UNIQUE INDEX "runs_project_id_idempotency_key_key" ON "runs"("project_id", "idempotency_key");

-- CreateIndex
CREATE INDEX "attempts_worker_id_idx" ON "attempts"("worker_id");

-- CreateIndex
CREATE INDEX "events_run_id_seq_idx" ON "events"("run_id", "seq" DESC);

-- CreateIndex
CREATE UNIQUE INDEX "metric_series_run_id_name_key" ON "metric_series"("run_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "checkpoints_run_id_step_key" ON "checkpoints"("run_id", "step");

-- CreateIndex
CREATE UNIQUE INDEX "adapters_run_id_kind_key" ON "adapters"("run_id", "kind");

-- CreateIndex
CREATE UNIQUE INDEX "evaluations_run_id_file_id_step_key" ON "evaluations"("run_id", "file_id", "step");

-- CreateIndex
CREATE INDEX "workers_pool_status_idx" ON "workers"("pool", "status");

-- CreateIndex
CREATE INDEX "log_lines_run_id_seq_idx" ON "log_lines"("run_id", "seq");

-- AddForeignKey
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "login_links" ADD CONSTRAINT "login_links_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "files" ADD CONSTRAINT "files_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "bases" ADD CONSTRAINT "bases_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "runs" ADD CONSTRAINT "runs_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "runs" ADD CONSTRAINT "runs_base_id_fkey" FOREIGN KEY ("base_id") REFERENCES "bases"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "attempts" ADD CONSTRAINT "attempts_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "attempts" ADD CONSTRAINT "attempts_worker_id_fkey" FOREIGN KEY ("worker_id") REFERENCES "workers"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "events" ADD CONSTRAINT "events_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "metric_series" ADD CONSTRAINT "metric_series_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "metric_points" ADD CONSTRAINT "metric_points_series_id_fkey" FOREIGN KEY ("series_id") REFERENCES "metric_series"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "metric_rollups" ADD CONSTRAINT "metric_rollups_series_id_fkey" FOREIGN KEY ("series_id") REFERENCES "metric_series"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "checkpoints" ADD CONSTRAINT "checkpoints_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "adapters" ADD CONSTRAINT "adapters_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "evaluations" ADD CONSTRAINT "evaluations_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "log_lines" ADD CONSTRAINT "log_lines_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;


-- What the schema language cannot say: the words that a column may hold, and the bounds of its numbers.

ALTER TABLE "files"
  ADD CONSTRAINT "files_status_word" CHECK (status IN ('uploaded', 'processed', 'error')),
  ADD CONSTRAINT "files_format_word" CHECK (format IN ('chat', 'prompt_completion', 'text')),
  ADD CONSTRAINT "files_size_not_negative" CHECK (size_bytes >= 0);

ALTER TABLE "bases"
  ADD CONSTRAINT "bases_name_safe" CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$'),
  ADD CONSTRAINT "bases_sizes_positive" CHECK (parameters > 0 AND context > 0);

ALTER TABLE "runs"
  ADD CONSTRAINT "runs_status_word" CHECK (status IN ('validating_files', 'queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  ADD CONSTRAINT "runs_state_word" CHECK (state IN ('provisioning', 'lost_contact', 'draining', 'checkpointing', 'pausing', 'cancelling')),
  ADD CONSTRAINT "runs_attempt_not_negative" CHECK (attempt >= 0),
  ADD CONSTRAINT "runs_submission_positive" CHECK (submission >= 1),
  ADD CONSTRAINT "runs_max_attempts_positive" CHECK (max_attempts >= 1),
  ADD CONSTRAINT "runs_priority_range" CHECK (priority BETWEEN 0 AND 100),
  ADD CONSTRAINT "runs_steps_positive" CHECK (steps >= 1),
  ADD CONSTRAINT "runs_step_range" CHECK (step BETWEEN 0 AND steps),
  ADD CONSTRAINT "runs_terminal_has_end" CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
  ADD CONSTRAINT "runs_failed_has_error" CHECK (status <> 'failed' OR (error_code IS NOT NULL AND error_message IS NOT NULL));

ALTER TABLE "attempts"
  ADD CONSTRAINT "attempts_status_word" CHECK (status IN ('claimed', 'provisioning', 'running', 'finished', 'failed', 'lost', 'superseded')),
  ADD CONSTRAINT "attempts_cause_word" CHECK (cause IN ('user_data', 'user_config', 'oom', 'nan', 'hardware', 'lost_worker', 'preempted', 'storage', 'internal')),
  ADD CONSTRAINT "attempts_attempt_positive" CHECK (attempt >= 1),
  ADD CONSTRAINT "attempts_start_step_not_negative" CHECK (start_step >= 0);

ALTER TABLE "events"
  ADD CONSTRAINT "events_level_word" CHECK (level IN ('info', 'warn', 'error')),
  ADD CONSTRAINT "events_type_word" CHECK (type IN ('message', 'metrics')),
  ADD CONSTRAINT "events_attempt_not_negative" CHECK (attempt >= 0);

ALTER TABLE "metric_points" ADD CONSTRAINT "metric_points_step_not_negative" CHECK (step >= 0);
ALTER TABLE "metric_rollups" ADD CONSTRAINT "metric_rollups_counted" CHECK (n >= 1 AND first_step <= last_step);
ALTER TABLE "checkpoints" ADD CONSTRAINT "checkpoints_attempt_and_step" CHECK (attempt >= 1 AND step >= 0);
ALTER TABLE "adapters" ADD CONSTRAINT "adapters_kind_word" CHECK (kind IN ('adapter', 'peft', 'merged'));
ALTER TABLE "workers"
  ADD CONSTRAINT "workers_status_word" CHECK (status IN ('registering', 'ready', 'busy', 'cordoned', 'draining', 'unhealthy', 'lost', 'gone'));

-- The name of a deleted base is free again.
CREATE UNIQUE INDEX "bases_live_name" ON "bases" (project_id, name) WHERE deleted_at IS NULL;

-- What a worker looks for: the best queued run of its pool.
CREATE INDEX "runs_claimable" ON "runs" (pool, priority DESC, queued_at, id) WHERE status = 'queued' AND deleted_at IS NULL;

-- Fair share counts what a project has running.
CREATE INDEX "runs_running" ON "runs" (project_id) WHERE status = 'running';

-- A file that a run still needs cannot be deleted.
CREATE INDEX "runs_unfinished" ON "runs" (project_id) WHERE finished_at IS NULL;

-- What the reconciler looks for: live attempts whose lease has run out.
CREATE INDEX "attempts_live_lease" ON "attempts" (lease_expires_at) WHERE status IN ('claimed', 'provisioning', 'running');

-- No run is executed twice at once, whatever the code above does.
CREATE UNIQUE INDEX "attempts_one_live" ON "attempts" (run_id) WHERE status IN ('claimed', 'provisioning', 'running');
