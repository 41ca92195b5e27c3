-- A log line is counted inside its attempt, so that one that is sent twice is stored once.
ALTER TABLE "log_lines" ADD COLUMN "line" INTEGER;
UPDATE "log_lines" SET "line" = "seq"::int;
ALTER TABLE "log_lines" ALTER COLUMN "line" SET NOT NULL;

-- CreateIndex
CREATE UNIQUE INDEX "log_lines_run_id_attempt_line_key" ON "log_lines"("run_id", "attempt", "line");
