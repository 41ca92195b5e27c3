-- A run that is held at a step, for others of its experiment to come as far. It waits there as a paused one.
ALTER TABLE "runs" ADD COLUMN "hold_step" INTEGER;
ALTER TABLE "runs" ADD CONSTRAINT "runs_hold_step_check" CHECK ("hold_step" > 0);
