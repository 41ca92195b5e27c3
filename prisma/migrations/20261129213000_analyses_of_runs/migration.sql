-- Analyses that a run asks for: of each checkpoint, of its result.
ALTER TABLE "runs" ADD COLUMN "analyses_open" BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX "runs_analyses_open" ON "runs"("id") WHERE analyses_open;

ALTER TABLE "analysis_tasks" ADD COLUMN "for_run_id" TEXT, ADD COLUMN "place" INTEGER;
CREATE INDEX "analysis_tasks_for_run_id_idx" ON "analysis_tasks"("for_run_id");
-- Whoever makes them, each is made once.
CREATE UNIQUE INDEX "analysis_tasks_made_once" ON "analysis_tasks"("for_run_id", "place", "tuned_step") WHERE for_run_id IS NOT NULL;
ALTER TABLE "analysis_tasks" ADD CONSTRAINT "analysis_tasks_for_run_id_fkey" FOREIGN KEY ("for_run_id") REFERENCES "runs"("id") ON DELETE SET NULL ON UPDATE CASCADE;
