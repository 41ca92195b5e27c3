import { type EvaluationObject, storedRunConfig } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { type Page, toPage } from '../ground/paging.js';
import { toSeconds } from '../ground/time.js';
import { requireRun } from './require-run.js';

/** Evaluations of a run, by file name and step. */
export async function listEvaluations(s: Services, actor: Actor, runId: string): Promise<Page<EvaluationObject>> {
  const { config } = await requireRun(s, actor, runId);
  const { roles = {} } = storedRunConfig(config).evaluation;
  const rows = await s.db.evaluation.findMany({
    where: { runId },
    orderBy: [{ name: 'asc' }, { fileId: 'asc' }, { step: 'asc' }],
  });
  const evaluations = rows.map(
    (row): EvaluationObject => ({
      id: row.id,
      object: 'evaluation',
      created_at: toSeconds(row.createdAt),
      run_id: row.runId,
      file_id: row.fileId,
      name: row.name,
      role: roles[row.fileId] ?? 'target',
      step: row.step,
      rows: row.rows,
      supervised_tokens: row.supervisedTokens,
      loss: row.loss,
      bits_per_byte: row.bitsPerByte,
      token_accuracy: row.tokenAccuracy,
      exact_match: row.exactMatch,
      kl_to_base: row.klToBase,
      samples: row.samples as EvaluationObject['samples'],
    }),
  );
  return toPage(evaluations, evaluations.length);
}
