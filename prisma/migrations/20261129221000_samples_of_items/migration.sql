ALTER TABLE "evaluation_tasks" ADD COLUMN "sampling" JSONB;
ALTER TABLE "evaluation_items" ADD COLUMN "samples" JSONB;
