-- What somebody asks of a worker, whatever it does: its status is its own to say.
ALTER TABLE "workers" ADD COLUMN "asked" TEXT,
  ADD CONSTRAINT "workers_asked_word" CHECK (asked IN ('cordon', 'drain'));
