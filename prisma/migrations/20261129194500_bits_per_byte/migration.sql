-- Forgetting is a difference of bits per byte; evaluations so far did not count the bytes.
ALTER TABLE "evaluations" ADD COLUMN "bits_per_byte" DOUBLE PRECISION;
