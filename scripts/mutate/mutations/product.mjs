// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of source code
import { services } from './of.mjs';

export const product = [
  services('ground/secrets.ts', 'access/access', {
    name: 'key hashing: keys are stored as they are',
    find: "createHash('sha256').update(secret).digest('hex')",
    replace: "createHash('sha256') && secret",
    test: 'API keys > a key opens its project and is stored only as its hash',
  }),
  services('work/fence.ts', 'fence', {
    name: 'fence: the attempt’s number is not asked',
    find: 'WHERE t.id = $1 AND t.attempt = $2 AND a.worker_id = $3',
    replace: 'WHERE t.id = $1 AND $2::int > 0 AND a.worker_id = $3',
    test: 'the same worker that claims a run again makes the writes of its own older attempt bounce',
  }),
  services('work/claim.ts', 'attempts', {
    name: 'claim: the number does not grow',
    find: 'attempt = t.attempt + 1',
    replace: 'attempt = greatest(1, t.attempt)',
    test: 'leases > an attempt that stays silent is lost and its run is claimed again',
  }),
  services('work/claim.ts', 'attempts', {
    name: 'claim: the least busy project comes last',
    find: 'ORDER BY coalesce(b.running, 0), oldest',
    replace: 'ORDER BY coalesce(b.running, 0) DESC, oldest',
    test: 'claiming > a claim takes the highest priority, then the project with the fewest running runs, then the oldest',
  }),
  services('work/renew-lease.ts', 'fence', {
    name: 'lease: a renewal moves nothing',
    find: "now() + $4 * interval '1 millisecond'",
    replace: "a.lease_expires_at + 0 * $4 * interval '1 millisecond'",
    test: 'a renewal puts the end of the lease off, from now and by as long as it says',
  }),
  services('reconcile/leases.ts', 'attempts', {
    name: 'lease condition: a lease that still runs counts as expired',
    find: 'a.lease_expires_at < coalesce($1::timestamptz, now())\n         FOR NO KEY UPDATE OF t SKIP LOCKED',
    replace: 'a.lease_expires_at > coalesce($1::timestamptz, now())\n         FOR NO KEY UPDATE OF t SKIP LOCKED',
    test: 'leases > an expired lease passes through lost_contact, and a renewal takes the run back',
  }),
  services('work/fence.ts', 'attempts', {
    name: 'lease condition: an expiry does not look at the lease again',
    find: ' AND a.lease_expires_at < now()`',
    replace: '`',
    test: 'leases > a lease that is renewed while its end waits for the lock is not ended, also of a run that is being cancelled',
  }),
  services('work/transition.ts', 'attempts', {
    name: 'transition: a run that runs cannot be queued again',
    find: "running: ['queued', 'paused',",
    replace: "running: ['paused',",
    test: 'ends > faults of ours queue the run again until its budget of attempts is spent',
  }),
  services('work/verdict.ts', 'work/verdict', {
    name: 'verdict: the budget of attempts is one longer',
    find: 'facts.charged + 1 < facts.maxAttempts',
    replace: 'facts.charged < facts.maxAttempts',
    test: 'a fault that spends the budget fails the run',
  }),
  services('work/transition.ts', 'runs', {
    name: 'transition: a run that ended may be queued again',
    find: '  succeeded: [],',
    replace: "  succeeded: ['failed', 'cancelled'],",
    test: 'transitions > of a success and a failure at once one wins, and the end never changes',
  }),
  services('training/require-run.ts', 'runs', {
    name: 'project filter: a run of another project is found',
    find: 'id: runId, projectId: actor.projectId,',
    replace: 'id: runId,',
    test: 'another project > sees none of our files, runs and models, whichever verb it tries',
  }),
  services('work/require-task.ts', 'runs', {
    name: 'project filter: a task of another project is found',
    find: 'id: taskId, projectId: actor.projectId,',
    replace: 'id: taskId,',
    test: 'another project > sees none of our files, runs and models, whichever verb it tries',
  }),
  services('work/claim.ts', 'work/kinds', {
    name: 'claim: the kind of the task is not asked',
    find: 't.kind = ANY($4)',
    replace: '$4::text[] IS NOT NULL',
    test: 'a worker claims only tasks of the kinds that it can execute',
  }),
  services('training/train-kind.ts', 'attempts', {
    name: 'out of memory: the micro-batch stays as large',
    find: '[runId, 2 * accumulation]',
    replace: '[runId, accumulation]',
    test: 'ends > memory that ran out earns one try with half the micro-batch, then fails the run',
  }),
  services('reconcile/outbox.ts', 'reconcile/outbox', {
    name: 'wake-ups: only the first page of the backlog is offered',
    find: "rows.length === PAGE ? (rows.at(-1)?.id ?? '') : ''",
    replace: "''",
    test: 'after Redis was wiped every task of a long backlog is offered again, once',
  }),
  services('library/list-files.ts', 'ground/order', {
    name: 'paging cursor: items of one moment are passed over',
    find: '{ createdAt: from.createdAt, id: { [beyond]: from.id } },',
    replace: '',
    test: 'files of one moment are on one page each, in both directions',
  }),
  services('training/ingest-metrics.ts', 'metrics', {
    name: 'metrics: a batch that comes again counts again',
    find: 'n = r.n + EXCLUDED.n, sum = r.sum + EXCLUDED.sum,',
    replace: 'n = r.n + EXCLUDED.n + 1, sum = r.sum + EXCLUDED.sum,',
    test: 'an attempt that goes on from step 300 leaves each step once and exact roll-ups',
  }),
  services('training/rewind.ts', 'metrics', {
    name: 'rewind: the point of the step itself goes too',
    find: 'AND p.step > ${step}',
    replace: 'AND p.step >= ${step}',
    test: 'an attempt that goes on from step 300 leaves each step once and exact roll-ups',
  }),
  {
    name: 'SSE position: ids of one millisecond count as equal',
    file: 'packages/contract/src/client/events.ts',
    find: 'return aTime - bTime || aCount - bCount;',
    replace: 'return aTime - bTime || 0 * (aCount - bCount);',
    testFile: 'packages/contract/test/read-events.test.ts',
    test: 'ids of one millisecond have an order, and it is that of numbers',
  },
  services('work/offer-task.ts', 'queue', {
    name: 'wake-up id: every offer is another one',
    find: '`${offer.id}-${offer.submission}`',
    replace: '`${offer.id}-${Math.random()}`',
    test: 'offering a run twice gives one wake-up',
  }),
];
