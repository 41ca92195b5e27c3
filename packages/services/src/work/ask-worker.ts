import { AppError, type WorkerObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { publishControl } from '../ground/publish-control.js';
import { inTransaction } from '../ground/transaction.js';
import { LIVE } from './fence.js';
import type { WorkerWish } from './heartbeat-worker.js';
import { readWorkers } from './list-workers.js';

interface Locked {
  name: string;
  status: string;
  asked: WorkerWish | null;
}

const noWorker = (id: string): AppError =>
  new AppError('not_found', `No worker '${id}'.`, { param: 'id', hint: 'GET /v1/workers lists those that are there.' });

/** The worker takes nothing new and finishes what it has. @throws AppError `not_found`; `conflict` for one that drains. */
export const cordonWorker = (s: Services, actor: Actor, id: string): Promise<WorkerObject> =>
  ask(s, actor, id, 'cordon');

/** The worker takes tasks again. @throws AppError `not_found`; `conflict` for one that drains. */
export const uncordonWorker = (s: Services, actor: Actor, id: string): Promise<WorkerObject> => ask(s, actor, id, null);

/** The worker finishes its step, saves, gives its task back uncharged, and ends. That cannot be taken back. @throws AppError `not_found`. */
export const drainWorker = (s: Services, actor: Actor, id: string): Promise<WorkerObject> => ask(s, actor, id, 'drain');

/** What is shown until the worker says it itself: of one that is unhealthy or lost nothing else is known. */
const STATUS = `CASE WHEN status NOT IN ('ready', 'busy', 'cordoned') THEN status WHEN $2::text = 'drain' THEN 'draining' WHEN $2::text = 'cordon' THEN 'cordoned'
  WHEN EXISTS (SELECT 1 FROM attempts a WHERE a.worker_id = $1 AND a.status IN ${LIVE}) THEN 'busy' ELSE 'ready' END`;

async function ask(s: Services, actor: Actor, id: string, wish: WorkerWish | null): Promise<WorkerObject> {
  const asked = await inTransaction(s, async (client) => {
    const { rows } = await client.query<Locked>('SELECT name, status, asked FROM workers WHERE id = $1 FOR UPDATE', [
      id,
    ]);
    const [worker] = rows;
    if (!worker || worker.status === 'gone') throw noWorker(id);
    if (wish !== 'drain' && (worker.asked === 'drain' || worker.status === 'draining')) {
      throw new AppError('conflict', `Worker ${worker.name} drains and ends; that cannot be taken back.`, {
        param: 'id',
        hint: 'Start another one.',
      });
    }
    await client.query(`UPDATE workers SET asked = $2::text, status = ${STATUS} WHERE id = $1`, [id, wish]);
    // The row is locked: one that drains at once has not ended before it is read.
    return (await readWorkers(client, actor)).find((one) => one.id === id);
  });
  await publishControl(s, { type: 'worker', workerId: id });
  if (!asked) throw noWorker(id);
  return asked;
}
