import { openAsBlob, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { Target } from './open-loop.js';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));

/** Calls a route and gives the object that it returns. */
export async function call(
  { url, key }: Target,
  method: string,
  route: string,
  body?: FormData | object,
): Promise<Record<string, unknown>> {
  const isForm = body instanceof FormData;
  const response = await fetch(url + route, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body && !isForm && { 'content-type': 'application/json' }) },
    body: isForm ? body : body && JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

/** The shipped base and a file to train on, over the API; gives what a run is made of. */
export async function uploadInputs(target: Target): Promise<{ model: string; training_file: string }> {
  const base = new FormData();
  base.append('name', 'moraine-tiny');
  const dir = path.join(examples, 'base');
  for (const file of readdirSync(dir).filter((name) => /\.(json|safetensors)$/.test(name)))
    base.append('files', await openAsBlob(path.join(dir, file)), file);
  await call(target, 'POST', '/v1/bases', base);
  const data = new FormData();
  data.append('purpose', 'fine-tune');
  data.append('file', await openAsBlob(path.join(examples, 'tasks', 'record-train.jsonl')), 'record-train.jsonl');
  const file = await call(target, 'POST', '/v1/files', data);
  return { model: 'moraine-tiny', training_file: String(file.id) };
}

const columnsOf = async (client: pg.Client, table: string, but: readonly string[]): Promise<string[]> => {
  const { rows } = await client.query<{ name: string }>(
    `SELECT column_name AS name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1 ORDER BY 1`,
    [table],
  );
  return rows.map(({ name }) => `"${name}"`).filter((name) => !but.includes(name));
};

/** Copies a run so many times as runs that have ended, with an attempt and a curve each, as a busy year would leave them. */
export async function fillRuns(databaseUrl: string, runId: string, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const copy = async (table: string, own: Record<string, string>): Promise<void> => {
    const rest = await columnsOf(
      client,
      table,
      Object.keys(own).map((name) => `"${name}"`),
    );
    await client.query(
      `INSERT INTO ${table} (${[...Object.keys(own), ...rest].join()})
       SELECT ${[...Object.values(own), ...rest.map((name) => `r.${name}`)].join()}
       FROM ${table} r, generate_series(1, $2::int) n WHERE r.id = $1`,
      [runId, count],
    );
  };
  const id = `'ftjob-filled' || lpad(n::text, 6, '0')`;
  const ago = (minutes: string): string => `now() - ${minutes} * interval '1 minute'`;
  await copy('tasks', {
    id,
    status: `'succeeded'`,
    attempt: '1',
    created_at: ago('(n + 2)'),
    queued_at: ago('(n + 2)'),
    started_at: ago('(n + 1)'),
    finished_at: ago('n'),
    state: 'NULL',
    state_reason: 'NULL',
  });
  await copy('runs', {
    id,
    step: 'r.steps',
    idempotency_key: 'NULL',
    train_loss: '0.5 + random()',
    fine_tuned_model: `'ft:load:' || n`,
    verdict: `'null'::jsonb`,
  });
  await client.query(
    `INSERT INTO attempts (task_id, attempt, project_id, worker_id, status, lease_expires_at, started_at, finished_at)
     SELECT t.id, 1, t.project_id, (SELECT id FROM workers LIMIT 1), 'finished', t.finished_at, t.started_at, t.finished_at
     FROM tasks t WHERE t.id LIKE 'ftjob-filled%'`,
  );
  await client.query(
    `INSERT INTO metric_series (project_id, run_id, name) SELECT project_id, id, 'train_loss' FROM runs WHERE id LIKE 'ftjob-filled%'`,
  );
  await client.query(
    `INSERT INTO metric_points (series_id, step, value)
     SELECT m.id, step, 3.0 / step FROM metric_series m, generate_series(1, 20) step WHERE m.run_id LIKE 'ftjob-filled%'`,
  );
  await client.query('ANALYZE');
  await client.end();
}

/** A curve of so many steps for each of these series of a run. */
export async function fillPoints(
  databaseUrl: string,
  runId: string,
  names: readonly string[],
  steps: number,
): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(
    `WITH added AS (
       INSERT INTO metric_series (project_id, run_id, name) SELECT r.project_id, r.id, name FROM runs r, unnest($2::text[]) name WHERE r.id = $1
       RETURNING id
     ) INSERT INTO metric_points (series_id, step, value) SELECT id, step, random() / step FROM added, generate_series(1, $3::int) step`,
    [runId, names, steps],
  );
  await client.query('ANALYZE');
  await client.end();
}
