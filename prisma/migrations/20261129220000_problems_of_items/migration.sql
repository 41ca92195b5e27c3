ALTER TABLE "evaluation_items" ADD COLUMN "problem" TEXT;
