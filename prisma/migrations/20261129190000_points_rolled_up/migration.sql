-- Old curves shrink to their roll-ups. Null: retention has not looked at the series yet; false: it keeps its points, there are few;
-- true: the points between its first and its last roll-up are gone, and what it shows is its roll-ups.
ALTER TABLE "metric_series" ADD COLUMN "rolled_up" BOOLEAN;
