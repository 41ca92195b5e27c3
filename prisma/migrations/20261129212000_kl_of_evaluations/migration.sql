-- How far from its base a model is on the rows of a file, beside what it scores there.
ALTER TABLE "evaluations" ADD COLUMN "kl_to_base" DOUBLE PRECISION;
