import type { FileRehearsal, RunConfig, RunObject } from '@moraine/contract';
import { countAgain, epochDraws, mixShares, parseModelConfig } from '@moraine/contract/plan';
import { type EncodedAside, encodeAside } from '@moraine/data';
import { createCache } from '../ground/cache.js';
import type { Services } from '../ground/context.js';
import { withLocalFile } from '../ground/with-local-file.js';
import { storedTokenizerTexts } from '../library/tokenizer-texts.js';
import { adviceFor } from './advice.js';
import { besideTasks } from './beside-tasks.js';
import type { NewRows } from './new-rows.js';
import { type Prepared, type RunFile, trainingFilesOf } from './prepare-run.js';
import type { RunRow } from './run-row.js';
import { toRunObject } from './to-run-object.js';

/** Rows are encoded for so long; of longer files the beginning is. */
const ENCODE_MS = 8_000;

/**
 * What the run would be and would learn. The configuration is counted on the rows that are trained on, where all were looked at.
 * @throws AppError as the run would before its first step.
 */
export async function dryRun(s: Services, rows: NewRows, prepared: Prepared): Promise<RunObject> {
  const rehearsal = await rehearse(s, prepared);
  const training = rehearsal.slice(0, trainingFilesOf(prepared.config));
  const drawn = epochDraws(
    prepared.config.data_mix,
    training.map((file) => file.rows),
  );
  const isWhole = training.every((file) => file.is_whole);
  const config = isWhole ? countAgain(prepared.config, drawn) : prepared.config;
  const advice = await adviceFor(s, rows.task.pool, config, prepared.base);
  return {
    ...imagine(rows, { ...prepared, config }),
    advice,
    rehearsal: withShares(rehearsal, prepared.files, config),
    beside: await besideTasks(s, rows.task.pool, prepared.base.id, config, null),
  };
}

/** Adds to each file of a mix what part of the run it is, where its rows were looked at. */
export function withShares(
  rehearsal: readonly FileRehearsal[],
  files: readonly RunFile[],
  config: RunConfig,
): FileRehearsal[] {
  const trained = rehearsal.slice(0, trainingFilesOf(config));
  if (trained.some(({ rows }) => rows === 0)) return [...rehearsal];
  const shares = mixShares(
    config,
    trained.map(({ rows, tokens, rows_read, is_whole }, i) => {
      const times = is_whole ? 1 : (files[i]?.file.rows ?? rows_read) / rows_read;
      return { rows: rows * times, tokens: tokens * times };
    }),
  );
  return rehearsal.map((file, i) => ({ ...file, ...(shares[i] && { mix: shares[i] }) }));
}

/** What was found out about the files of a run. */
const rehearse = async (s: Services, prepared: Prepared): Promise<FileRehearsal[]> => {
  const encoded = await encodeFiles(s, prepared);
  if (typeof encoded === 'string') return prepared.files.map((file) => notRehearsed(file, encoded));
  return prepared.files.flatMap((file, i) => (encoded[i] ? [toRehearsal(file, encoded[i])] : []));
};

/** By the hashes of base and files and the settings that rows are read by, where all rows were read. */
const encodings = createCache<EncodedAside[] | string>(
  16,
  (found) => typeof found !== 'string' && found.every(({ report }) => !report.isPartial),
);

/** Encodes the files of a run as the run would, beside the loop that answers other requests; or says why that takes too much. */
export async function encodeFiles(s: Services, { base, files, config }: Prepared): Promise<EncodedAside[] | string> {
  const settings = {
    day: config.template_date,
    trainingFiles: trainingFilesOf(config),
    maxSeqLen: config.max_seq_len,
    overLength: config.over_length,
  };
  const read = files.map(({ label, file }) => [label, file.sha256]);
  return encodings.get(JSON.stringify([base.sha256, read, settings]), async () => {
    const texts = await storedTokenizerTexts(s, base);
    const { vocabSize } = parseModelConfig(base.config);
    return withLocalFiles(s, files, async (paths) => {
      try {
        const rows = files.map(({ label }, i) => ({ label, path: paths[i] ?? '' }));
        return await encodeAside({ files: texts, vocabSize, rows, msMax: ENCODE_MS, ...settings });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        return error.message;
      }
    });
  });
}

async function withLocalFiles<T>(
  s: Services,
  [first, ...others]: readonly RunFile[],
  use: (paths: string[]) => Promise<T>,
): Promise<T> {
  if (!first) return use([]);
  return withLocalFile(s, first.file.blobKey, (path) => withLocalFiles(s, others, (paths) => use([path, ...paths])));
}

/** What was found out about a file. */
export function toRehearsal(
  { file, param, label }: RunFile,
  { report, warnings }: Omit<EncodedAside, 'lengths'>,
): FileRehearsal {
  const { rowsRead, isPartial, rows, tokens, supervisedTokens, longestTokens } = report;
  const partial = `${label}: ${rowsRead} of ${file.rows} rows were looked at; the run says of all what it finds, before its first step.`;
  return {
    file_id: file.id,
    param,
    rows_read: rowsRead,
    is_whole: !isPartial,
    rows,
    tokens,
    supervised_tokens: supervisedTokens,
    longest_tokens: longestTokens,
    warnings: [...(isPartial ? [partial] : []), ...warnings],
  };
}

/** Nothing was found out about a file, because of this. */
const notRehearsed = ({ file, param, label }: RunFile, why: string): FileRehearsal => ({
  file_id: file.id,
  param,
  rows_read: 0,
  is_whole: false,
  rows: 0,
  tokens: 0,
  supervised_tokens: 0,
  longest_tokens: 0,
  warnings: [
    `${label}: no row was looked at, because encoding ${why}; the run says what it finds before its first step.`,
  ],
});

/** What the run would be. It has no id that anything could be asked about. */
function imagine({ task, run }: NewRows, { base, config }: Prepared): RunObject {
  const now = Math.floor(Date.now() / 1_000);
  const reason = {
    code: 'dry_run',
    message: 'Everything was checked; nothing was queued.',
    since: now,
  };
  const id = 'ftjob-dry-run';
  const dry: RunRow = {
    id,
    projectId: run.projectId,
    suffix: run.suffix,
    metadata: run.metadata as RunObject['metadata'],
    config,
    seed: run.seed,
    steps: config.steps,
    trainingFileId: run.trainingFileId,
    validationFileId: run.validationFileId,
    pool: task.pool,
    priority: task.priority,
    step: 0,
    trainedTokens: 0,
    tokensPerSecond: null,
    trainLoss: null,
    pace: null,
    resultFileId: null,
    fineTunedModel: null,
    resultStep: null,
    resumeCheck: null,
    experimentId: null,
    experimentArm: null,
    experimentPhase: null,
    base: base.name,
    adapters: [],
    attempts: [],
    status: 'validating_files',
    state: null,
    stateReason: null,
    errorCode: null,
    errorMessage: null,
    errorParam: null,
    createdAt: now,
    startedAt: null,
    finishedAt: null,
  };
  return toRunObject(dry, reason);
}
