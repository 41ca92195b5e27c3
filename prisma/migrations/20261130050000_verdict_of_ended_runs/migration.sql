-- What the losses of a run say, written when it ends; runs that ended before this keep NULL, and are judged by their points as before.
ALTER TABLE "runs" ADD COLUMN "verdict" JSONB;
