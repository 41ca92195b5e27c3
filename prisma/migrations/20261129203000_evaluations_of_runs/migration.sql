-- Evaluations by suites that a run asks for: of its base, of each checkpoint, of its result.
ALTER TABLE "runs" ADD COLUMN "suites_open" BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX "runs_suites_open" ON "runs"("id") WHERE suites_open;

ALTER TABLE "evaluation_tasks" ADD COLUMN "for_run_id" TEXT, ADD COLUMN "suite_place" INTEGER;
CREATE INDEX "evaluation_tasks_for_run_id_idx" ON "evaluation_tasks"("for_run_id");
-- Whoever makes them, each is made once; the base has no step.
CREATE UNIQUE INDEX "evaluation_tasks_made_once" ON "evaluation_tasks"("for_run_id", "suite_place", coalesce("tuned_step", -1)) WHERE for_run_id IS NOT NULL;
ALTER TABLE "evaluation_tasks" ADD CONSTRAINT "evaluation_tasks_for_run_id_fkey" FOREIGN KEY ("for_run_id") REFERENCES "runs"("id") ON DELETE SET NULL ON UPDATE CASCADE;
