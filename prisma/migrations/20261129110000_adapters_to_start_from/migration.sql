-- Adapters that were made elsewhere, under names, and what a run starts from: one of them, or a checkpoint of another run.
CREATE TABLE "uploaded_adapters" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "base_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "blob_prefix" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "config" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),
    "idempotency_key" TEXT,
    CONSTRAINT "uploaded_adapters_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "uploaded_adapters_name_safe" CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$')
);
CREATE UNIQUE INDEX "uploaded_adapters_project_id_idempotency_key_key" ON "uploaded_adapters"("project_id", "idempotency_key");
CREATE INDEX "uploaded_adapters_project_id_idx" ON "uploaded_adapters"("project_id");
CREATE UNIQUE INDEX "uploaded_adapters_live_name" ON "uploaded_adapters" (project_id, name) WHERE deleted_at IS NULL;
ALTER TABLE "uploaded_adapters" ADD CONSTRAINT "uploaded_adapters_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "uploaded_adapters" ADD CONSTRAINT "uploaded_adapters_base_id_fkey" FOREIGN KEY ("base_id") REFERENCES "bases"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "runs" ADD COLUMN "start_checkpoint_id" TEXT, ADD COLUMN "start_adapter_id" TEXT;
CREATE INDEX "runs_start_checkpoint_id_idx" ON "runs"("start_checkpoint_id");
ALTER TABLE "runs" ADD CONSTRAINT "runs_start_checkpoint_id_fkey" FOREIGN KEY ("start_checkpoint_id") REFERENCES "checkpoints"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "runs" ADD CONSTRAINT "runs_start_adapter_id_fkey" FOREIGN KEY ("start_adapter_id") REFERENCES "uploaded_adapters"("id") ON DELETE SET NULL ON UPDATE CASCADE;
