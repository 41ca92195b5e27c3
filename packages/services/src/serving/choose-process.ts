import { AppError } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { prepared } from '../ground/prepared.js';

/** A process that answers for a base. */
export interface ChosenProcess {
  id: string;
  address: string;
  secret: string;
}

interface ProcessRow {
  id: string;
  status: 'opening' | 'ready' | 'failed';
  status_reason: string | null;
  address: string;
  secret: string;
  answering: number;
  has_tuned: boolean;
}

/** Those that answer or will, and what one has failed by just now. */
const PROCESSES = `
  SELECT id, status, status_reason, address, secret, answering, adapters @> jsonb_build_array(jsonb_build_object('sha256', $2::text)) AS has_tuned
  FROM inference_processes WHERE base_sha256 = $1
    AND (status IN ('opening', 'ready') AND lease_until > now() OR status = 'failed' AND lease_until > now() - interval '20 seconds')`;

/**
 * The process to ask: of those that have the base the one with the fewest requests, and of equal ones one that has the adapter. `underWay` counts
 * what the caller has begun itself, which the last heartbeat may not say yet. `opening` where one will answer, null where none does.
 * @throws AppError `unavailable` saying why where the last one that was started could not open the base.
 */
export async function chooseProcess(
  s: Services,
  { base, tuned }: { base: { sha256: string }; tuned: { sha256: string } | null },
  underWay: (processId: string) => number,
): Promise<ChosenProcess | 'opening' | null> {
  const { rows } = await s.pg.query<ProcessRow>(prepared(PROCESSES, [base.sha256, tuned?.sha256 ?? '']));
  const load = ({ id, answering }: ProcessRow): number => Math.max(answering, underWay(id));
  const [best] = rows
    .filter(({ status }) => status === 'ready')
    .sort((a, b) => load(a) - load(b) || Number(b.has_tuned) - Number(a.has_tuned));
  if (best) return { id: best.id, address: best.address, secret: best.secret };
  if (rows.some(({ status }) => status === 'opening')) return 'opening';
  const failed = rows.find(({ status }) => status === 'failed');
  if (failed === undefined) return null;
  throw new AppError('unavailable', `The base could not be opened for answers: ${failed.status_reason}`, {
    hint: 'Try again in a minute, or ask whoever runs this server.',
  });
}
