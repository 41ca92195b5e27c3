-- Bases that the API downloads from a hub by itself: a row until the base is registered or the download is deleted.
CREATE TABLE "base_downloads" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'processing',
    "commit" TEXT,
    "bytes" BIGINT NOT NULL DEFAULT 0,
    "bytes_total" BIGINT,
    "waiting" TEXT,
    "error" JSONB,
    "holder" TEXT,
    "lease_until" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),
    CONSTRAINT "base_downloads_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "base_downloads_name_safe" CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$'),
    CONSTRAINT "base_downloads_status" CHECK (status IN ('processing', 'error'))
);
CREATE UNIQUE INDEX "base_downloads_project_id_name_key" ON "base_downloads"("project_id", "name");
ALTER TABLE "base_downloads" ADD CONSTRAINT "base_downloads_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "bases" ADD COLUMN "source" TEXT, ADD COLUMN "commit" TEXT;
