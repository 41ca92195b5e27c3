-- What is known of an export beside its bytes (how far it is from what was trained, limits of other programs); none for exports of earlier
-- versions. Where blob_key is null nothing is stored: a merged model is made of base and adapter when it is asked for.
ALTER TABLE "adapters" ADD COLUMN "report" JSONB;
ALTER TABLE "adapters" ALTER COLUMN "blob_key" DROP NOT NULL;
ALTER TABLE "adapters" ALTER COLUMN "sha256" DROP NOT NULL;
