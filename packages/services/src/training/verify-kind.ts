import { plainCheck, type ResumeCheck, type TaskKind } from '@moraine/contract';
import type { Queryable } from '../ground/transaction.js';
import type { Kind } from '../work/kind.js';

/** A verification: what becomes of it is said by its run. */
export const verifyKind: Kind & { name: TaskKind } = {
  name: 'verify',
  noun: 'verification',
  keeps: 'checkpoint',
  lessMemory: async () => null,
  async ended(client, taskId, verdict) {
    if (verdict === 'cancelled') return writeCheck(client, taskId, null);
    if (verdict !== 'failed') return writeCheck(client, taskId, plainCheck('queued', 'Waits for a worker.'));
    const { rows } = await client.query<{ message: string | null }>(
      'SELECT error_message AS message FROM tasks WHERE id = $1',
      [taskId],
    );
    await writeCheck(client, taskId, plainCheck('failed', rows[0]?.message ?? 'The resume could not be checked.'));
  },
};

/** Writes what is known of a check into the run of a verification. */
export async function writeCheck(client: Queryable, taskId: string, check: ResumeCheck | null): Promise<void> {
  await client.query(
    `UPDATE runs r SET resume_check = $2::jsonb FROM verifications v WHERE v.id = $1 AND r.id = v.run_id`,
    [taskId, check && JSON.stringify(check)],
  );
}
