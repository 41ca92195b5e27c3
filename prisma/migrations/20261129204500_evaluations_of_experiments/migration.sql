-- Evaluations that an experiment asks for: its runs at shares of their updates.
ALTER TABLE "evaluation_tasks" ADD COLUMN "experiment_id" TEXT;
CREATE INDEX "evaluation_tasks_experiment_id_idx" ON "evaluation_tasks"("experiment_id");
ALTER TABLE "evaluation_tasks" ADD CONSTRAINT "evaluation_tasks_experiment_id_fkey" FOREIGN KEY ("experiment_id") REFERENCES "experiments"("id") ON DELETE SET NULL ON UPDATE CASCADE;
