-- What finds the base that a request under an Idempotency-Key registered. Bases of earlier versions are never found so.
ALTER TABLE "bases" ADD COLUMN "idempotency_key" TEXT;
CREATE UNIQUE INDEX "bases_project_id_idempotency_key_key" ON "bases"("project_id", "idempotency_key");
