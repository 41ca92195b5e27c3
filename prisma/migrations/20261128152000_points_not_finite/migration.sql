-- Values that are no numbers are points too, and marks on a chart; few, so that an index of their own finds them. Roll-ups leave them out.
CREATE INDEX "metric_points_not_finite" ON "metric_points" (series_id, step) WHERE value = ANY ('{NaN,Infinity,-Infinity}'::float8[]);
