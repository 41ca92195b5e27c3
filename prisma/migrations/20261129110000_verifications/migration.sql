-- A second kind of task: it goes on from a checkpoint of an ended run once more and compares. What came of it is on the run.
ALTER TABLE "runs" ADD COLUMN "resume_check" JSONB;

ALTER TABLE "tasks" DROP CONSTRAINT "tasks_kind_word";
ALTER TABLE "tasks" ADD CONSTRAINT "tasks_kind_word" CHECK (kind IN ('train', 'verify'));

CREATE TABLE "verifications" (
  "id" TEXT NOT NULL,
  "project_id" TEXT NOT NULL,
  "run_id" TEXT NOT NULL,

  CONSTRAINT "verifications_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "verifications_run_id_idx" ON "verifications"("run_id");
ALTER TABLE "verifications" ADD CONSTRAINT "verifications_id_fkey" FOREIGN KEY ("id") REFERENCES "tasks"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "verifications" ADD CONSTRAINT "verifications_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "verifications" ADD CONSTRAINT "verifications_run_id_fkey" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE CASCADE ON UPDATE CASCADE;
