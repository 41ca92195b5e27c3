-- A run that went back writes a checkpoint anew: of what it is now its evaluations and analyses are made again.
DROP INDEX "evaluation_tasks_made_once";
CREATE UNIQUE INDEX "evaluation_tasks_made_once" ON "evaluation_tasks"("for_run_id", "suite_place", coalesce("tuned_step", -1), coalesce("tuned_sha256", '')) WHERE for_run_id IS NOT NULL;
DROP INDEX "analysis_tasks_made_once";
CREATE UNIQUE INDEX "analysis_tasks_made_once" ON "analysis_tasks"("for_run_id", "place", coalesce("tuned_step", -1), coalesce("tuned_sha256", '')) WHERE for_run_id IS NOT NULL;
