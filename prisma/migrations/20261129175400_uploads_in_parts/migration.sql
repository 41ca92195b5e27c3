-- A file that comes in parts, in any order, and becomes a file when it is completed.
CREATE TABLE "uploads" (
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "filename" TEXT NOT NULL,
  "purpose" TEXT NOT NULL,
  "size_bytes" BIGINT NOT NULL,
  "mime_type" TEXT NOT NULL,
  "status" TEXT NOT NULL,
  "file_seconds" INTEGER,
  "file_id" TEXT,
  "part_ids" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "expires_at" TIMESTAMPTZ(3) NOT NULL,

  CONSTRAINT "uploads_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "uploads_status_expires_at_idx" ON "uploads"("status", "expires_at");
ALTER TABLE "uploads" ADD CONSTRAINT "uploads_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "uploads" ADD CONSTRAINT "uploads_file_id_fkey" FOREIGN KEY ("file_id") REFERENCES "files"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "uploads" ADD CONSTRAINT "uploads_status_word" CHECK (status IN ('pending', 'completed', 'cancelled', 'expired'));

CREATE TABLE "upload_parts" (
  "id" TEXT NOT NULL,
  "upload_id" TEXT NOT NULL,
  "size_bytes" BIGINT NOT NULL,
  "sha256" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

  CONSTRAINT "upload_parts_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "upload_parts_upload_id_idx" ON "upload_parts"("upload_id");
ALTER TABLE "upload_parts" ADD CONSTRAINT "upload_parts_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "uploads"("id") ON DELETE CASCADE ON UPDATE CASCADE;
