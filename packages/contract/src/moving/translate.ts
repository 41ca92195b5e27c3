import { AppError } from '../errors.js';
import { fireworks } from './fireworks.js';
import { filled, isObject, type Json, type Lines, openLedger } from './ledger.js';
import { mistral } from './mistral.js';
import { openai } from './openai.js';
import type { Provider } from './provider.js';
import { together } from './together.js';

const PROVIDERS: readonly Provider[] = [openai, fireworks, mistral, together];

/** What is here in place of what the job names. */
export interface Given {
  base: string;
  /** Whether there are rows for validation: a file, or a share of the others. */
  hasValidation: boolean;
  /** Tokens that the base reads; null where that is not known. */
  contextMax: number | null;
}

export interface Translated extends Lines {
  provider: string;
  job: string | null;
  /** A request without its files. */
  request: Json;
}

const PAIRS_MAX = 16;
/** Under this key of the metadata a run says which job it was. */
export const MOVED_FROM = 'moved_from';

/**
 * A saved fine-tuning job of another service as a request here: what is the same, and what cannot be, key by key.
 * @throws AppError `invalid_value` for what is no job of theirs, `unsupported_method` for one that is not supervised.
 */
export function translateJob(job: unknown, { base, hasValidation, contextMax }: Given): Translated {
  const { provider, object } = providerOf(job);
  const lines: Lines = { kept: [], dropped: [] };
  const ledger = openLedger(object, lines);
  const { id, keys, request } = provider.read(ledger, object);
  const named = (key: string): string => [object[key]].flat().join(', ');
  if (ledger.take(keys.model) !== undefined) ledger.keep(keys.model, named(keys.model), `here ${base}, by --base`);
  const training = [ledger.take(keys.training) ?? []].flat();
  if (training.length > 1)
    ledger.drop(keys.training, `${training.length} files: --training-file takes one; put their rows into it`);
  else if (training.length === 1) ledger.keep(keys.training, named(keys.training), 'here --training-file');
  if (ledger.take(keys.validation) !== undefined) {
    if (hasValidation) ledger.keep(keys.validation, named(keys.validation), 'here what is given for validation');
    else ledger.drop(keys.validation, 'give its rows with --validation-file');
  }
  if (!hasValidation && request.early_stopping !== undefined) {
    lines.kept = lines.kept.filter(({ key }) => key !== 'earlyStop');
    ledger.drop('earlyStop', 'it needs rows for validation: --validation-file');
    request.early_stopping = undefined;
  }
  if (contextMax !== null && typeof request.max_seq_len === 'number' && request.max_seq_len > contextMax) {
    lines.kept = lines.kept.filter(({ key }) => key !== keys.tokens);
    lines.dropped.push({
      key: keys.tokens ?? 'max_seq_len',
      text: `${request.max_seq_len}: ${base} reads at most ${contextMax} tokens; longer rows are treated as over_length says`,
    });
    request.max_seq_len = undefined;
  }
  ledger.close();
  return {
    provider: provider.name,
    job: id ?? null,
    request: { model: base, ...filled({ ...request, metadata: withOrigin(request.metadata, id, lines) }) },
    ...lines,
  };
}

/** The pairs, and one that finds the run by the old job: `moraine runs ls --metadata moved_from=ID`. */
function withOrigin(metadata: unknown, id: string | undefined, { kept }: Lines): unknown {
  const pairs = isObject(metadata) ? metadata : {};
  if (id === undefined || MOVED_FROM in pairs || Object.keys(pairs).length >= PAIRS_MAX) return metadata;
  kept.push({ key: 'id', text: `${id}, as metadata ${MOVED_FROM}=${id}` });
  return { ...pairs, [MOVED_FROM]: id };
}

function providerOf(job: unknown): { provider: Provider; object: Json } {
  const provider = isObject(job) ? PROVIDERS.find(({ isFrom }) => isFrom(job)) : undefined;
  if (provider !== undefined && isObject(job)) return { provider, object: job };
  const isList = isObject(job) && Array.isArray(job.data);
  throw new AppError(
    'invalid_value',
    isList ? 'This is a list of jobs.' : 'This is no fine-tuning job that is known here.',
    {
      hint: `Save one job as its API returns it (retrieve): of OpenAI or Azure ("object": "fine_tuning.job"), Together ("id": "ft-…"), Fireworks ("name": "accounts/…/supervisedFineTuningJobs/…") or Mistral ("object": "job").`,
    },
  );
}
