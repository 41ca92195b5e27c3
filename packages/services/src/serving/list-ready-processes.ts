import type { Services } from '../ground/context.js';
import type { ChosenProcess } from './choose-process.js';

/** Every process that answers for a base now. */
export async function listReadyProcesses(s: Services, base: { sha256: string }): Promise<ChosenProcess[]> {
  const { rows } = await s.pg.query<ChosenProcess>(
    `SELECT id, address, secret FROM inference_processes WHERE base_sha256 = $1 AND status = 'ready' AND lease_until > now() ORDER BY id`,
    [base.sha256],
  );
  return rows;
}
