import { z } from 'zod';
import { CanaryRow, MemorisationSummary } from '../analyses/exposure.js';
import { WeightRow, WeightSummary } from '../analyses/weights.js';
import { AnalysisAsk } from '../analysis-keys.js';
import { SUBJECT_FIELDS, TASK_FIELDS } from './task-fields.js';

/** What the rows of an analysis come to. */
export const AnalysisSummary = z
  .discriminatedUnion('kind', [
    /** Means by kind of layer. */
    z.object({ kind: z.literal('weights'), modules: z.array(WeightSummary) }),
    MemorisationSummary.extend({ kind: z.literal('canaries') }),
  ])
  .meta({ id: 'AnalysisSummary' });
export type AnalysisSummary = z.infer<typeof AnalysisSummary>;

/** A model whose update or memory is measured: a task of its own. */
export const AnalysisTaskObject = z
  .object({
    id: z.string(),
    object: z.literal('analysis.task'),
    ...TASK_FIELDS,
    ...SUBJECT_FIELDS,
    /** The run that asked for it in `evaluation.analyses`; null for one that was created by itself. */
    made_for: z.string().nullable(),
    ask: AnalysisAsk,
    progress: z.object({ rows: z.int(), total: z.int().nullable() }),
    /** Null until it has succeeded. */
    summary: AnalysisSummary.nullable(),
  })
  .meta({ id: 'AnalysisTask' });
export type AnalysisTaskObject = z.infer<typeof AnalysisTaskObject>;

/** A row of an analysis: of a linear layer, or of a canary. */
export const AnalysisRow = z
  .object({
    /** Place among the rows of the analysis, from 0. */
    index: z.int(),
    row: z.union([WeightRow.partial({ singular_values: true }), CanaryRow]),
  })
  .meta({ id: 'AnalysisRow' });
export type AnalysisRow = z.infer<typeof AnalysisRow>;
