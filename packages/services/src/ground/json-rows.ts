import type { Services } from './context.js';
import { prepared } from './prepared.js';

export interface JsonQuery {
  text: string;
  values: unknown[];
  /** Whether Postgres may keep its plan whatever the values are. */
  keepPlan: boolean;
}

/**
 * The rows of a statement, in its order, as one JSON text that Postgres makes: column by column, a page of rows with forty columns each
 * takes this process three times as long. What is no number comes as text there: `finite` keeps it out.
 */
export async function jsonRows<Row>(s: Services, { text, values, keepPlan }: JsonQuery): Promise<Row[]> {
  const whole = `SELECT coalesce(json_agg(one), '[]') AS rows FROM (${text}) one`;
  const { rows } = await s.pg.query<{ rows: Row[] }>(keepPlan ? prepared(whole, values) : { text: whole, values });
  return rows[0]?.rows ?? [];
}

/** A time as the wire has it, whole unix seconds, in SQL. */
export const seconds = (column: string): string => `floor(extract(epoch FROM ${column}))::bigint`;

/** A number, or null where it is none, in SQL. */
export const finite = (column: string): string =>
  `CASE WHEN ${column} <> ALL ('{NaN,Infinity,-Infinity}'::float8[]) THEN ${column} END`;
