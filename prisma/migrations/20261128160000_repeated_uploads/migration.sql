-- What finds the file that a repeated upload made: who sent it, and under which Idempotency-Key. Files of earlier versions are never found so.
ALTER TABLE "files" ADD COLUMN "key_id" TEXT, ADD COLUMN "idempotency_key" TEXT;
CREATE UNIQUE INDEX "files_project_id_idempotency_key_key" ON "files"("project_id", "idempotency_key");
CREATE INDEX "files_project_id_sha256_idx" ON "files"("project_id", "sha256");
