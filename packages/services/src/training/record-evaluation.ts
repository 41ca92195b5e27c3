import { type EvaluationResult, newId } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { storable } from '../ground/storable.js';
import { fenced, TOKEN } from '../work/fence.js';

/** Stores the result of one file at one step, its samples as far as they can be stored; the same file and step again replaces it. @throws AppError `stale_attempt`. */
export async function recordEvaluation(s: Services, token: AttemptToken, result: EvaluationResult): Promise<void> {
  await fenced(
    s,
    token,
    `WITH ${TOKEN}
     INSERT INTO evaluations (id, project_id, run_id, attempt, file_id, name, step, rows, supervised_tokens, loss, bits_per_byte, token_accuracy, exact_match, samples, kl_to_base)
     SELECT $4, token.project_id, token.id, $2, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15 FROM token
     ON CONFLICT (run_id, file_id, step) DO UPDATE SET attempt = EXCLUDED.attempt, name = EXCLUDED.name, rows = EXCLUDED.rows,
       supervised_tokens = EXCLUDED.supervised_tokens, loss = EXCLUDED.loss, bits_per_byte = EXCLUDED.bits_per_byte,
       token_accuracy = EXCLUDED.token_accuracy, exact_match = EXCLUDED.exact_match, samples = EXCLUDED.samples, kl_to_base = EXCLUDED.kl_to_base
     RETURNING id`,
    [
      newId('evaluation'),
      result.fileId,
      result.name,
      result.step,
      result.rows,
      result.supervisedTokens,
      result.loss,
      result.bitsPerByte,
      result.tokenAccuracy,
      result.exactMatch,
      JSON.stringify(storable(result.samples)),
      result.klToBase ?? null,
    ],
  );
}
