-- The checkpoint of the best validation loss, as each checkpoint knew it, and the step that a run's result is of. Earlier versions kept no best.
ALTER TABLE "checkpoints" ADD COLUMN "best_step" INTEGER;
ALTER TABLE "runs" ADD COLUMN "result_step" INTEGER;
