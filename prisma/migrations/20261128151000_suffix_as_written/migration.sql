-- A suffix is kept as it was written; what a model's name can hold of it is worked out where the name is made. Earlier versions stored only that.
UPDATE "runs" SET suffix = request->>'suffix' WHERE suffix IS NOT NULL AND request->>'suffix' IS NOT NULL;
