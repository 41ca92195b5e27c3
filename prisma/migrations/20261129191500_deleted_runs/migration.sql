-- Until when a deleted task can be restored; null in one that is deleted: its removal has begun.
ALTER TABLE "tasks" ADD COLUMN "purge_at" TIMESTAMPTZ(3);

-- The few that are deleted and not gone yet.
CREATE INDEX "tasks_deleted" ON "tasks" (purge_at) WHERE deleted_at IS NOT NULL;

-- Attempts of tasks that are gone: a counter must not go back.
CREATE TABLE "attempt_tallies" (
    "status" TEXT NOT NULL,
    "cause" TEXT NOT NULL,
    "count" INTEGER NOT NULL,

    CONSTRAINT "attempt_tallies_pkey" PRIMARY KEY ("status", "cause")
);
