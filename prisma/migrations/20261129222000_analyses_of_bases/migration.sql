-- A run may have its base measured too, which has no step; once, as every checkpoint.
DROP INDEX "analysis_tasks_made_once";
CREATE UNIQUE INDEX "analysis_tasks_made_once" ON "analysis_tasks"("for_run_id", "place", coalesce("tuned_step", -1)) WHERE for_run_id IS NOT NULL;
