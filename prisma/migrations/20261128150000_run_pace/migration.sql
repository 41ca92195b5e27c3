-- How fast the attempt goes, from what its steps said so far: what the time left is worked out from. Null for runs of earlier versions.
ALTER TABLE "runs" ADD COLUMN "pace" JSONB;
