CREATE TABLE "inference_processes" (
    "id" TEXT NOT NULL,
    "base_sha256" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "status_reason" TEXT,
    "address" TEXT,
    "secret" TEXT NOT NULL,
    "host" TEXT NOT NULL,
    "pid" INTEGER NOT NULL,
    "version" TEXT NOT NULL,
    "device" JSONB,
    "rows" INTEGER NOT NULL,
    "answering" INTEGER NOT NULL DEFAULT 0,
    "adapters" JSONB NOT NULL DEFAULT '[]',
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "heartbeat_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "lease_until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "inference_processes_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "inference_processes_status" CHECK ("status" IN ('opening', 'ready', 'draining', 'failed', 'gone')),
    CONSTRAINT "inference_processes_reachable" CHECK ("status" <> 'ready' OR "address" IS NOT NULL)
);

CREATE INDEX "inference_processes_base_sha256_lease_until_idx" ON "inference_processes"("base_sha256", "lease_until");
