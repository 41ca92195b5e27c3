import type { Shot } from './open-loop.js';

const reads = (paths: Record<string, string>): Shot[] =>
  Object.entries(paths).map(([name, path]) => ({ kind: 'read', name, method: 'GET', path }));

/** What people and dashboards read. `train` is the run that trains. */
export function readsOf(train: string): Shot[] {
  return reads({
    'a run': '/v1/fine_tuning/jobs/ftjob-filled000777',
    'the run that trains': `/v1/fine_tuning/jobs/${train}`,
    'jobs, a page of 20': '/v1/fine_tuning/jobs?limit=20',
    'runs, a page of 50': '/v1/runs?limit=50',
    events: `/v1/fine_tuning/jobs/${train}/events?limit=20`,
    metrics: `/v1/runs/${train}/metrics`,
    workers: '/v1/workers',
  });
}

/** What is read less often, for `npm run load:cost` alone. */
export function rareReadsOf(train: string, file: string): Shot[] {
  const short = reads({
    'jobs, a page of 50': '/v1/fine_tuning/jobs?limit=50',
    'metrics, one series': `/v1/runs/${train}/metrics?names=train_loss`,
    'metrics, 20 steps': '/v1/runs/ftjob-filled000777/metrics',
    checkpoints: `/v1/fine_tuning/jobs/${train}/checkpoints`,
    queue: '/v1/queue',
    files: '/v1/files',
    'a file': `/v1/files/${file}`,
    'a model': '/v1/models/moraine-tiny',
  });
  return [...short, ...reads({ 'models, 20,001': '/v1/models' }).map((shot) => ({ ...shot, isLong: true }))];
}

/** A run in a pool that nobody works in. */
export const createShot = (inputs: object): Shot => ({
  kind: 'create',
  name: 'create',
  method: 'POST',
  path: '/v1/fine_tuning/jobs',
  body: { ...inputs, pool: 'nobody', hyperparameters: { n_epochs: 1 } },
});

/** Request number n of the load: reads in turn, and a share of creates spread evenly. */
export function mixOf(inputs: object, train: string, creates: number): (n: number) => Shot {
  const reads = readsOf(train);
  const create = createShot(inputs);
  const every = creates > 0 ? Math.round(1 / creates) : Number.POSITIVE_INFINITY;
  return (n) => (n % every === every - 1 ? create : (reads[n % reads.length] ?? create));
}
