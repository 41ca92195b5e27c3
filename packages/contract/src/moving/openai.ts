import { BOUNDS, filled, isObject, type Json, keepNumber, keepText, keepWhole, type Ledger } from './ledger.js';
import { idIn, METRICS_ELSEWHERE, notSupervised, type Provider } from './provider.js';

/** What became of the job, and who owns it. Azure adds `updated_at`. */
const FACTS = [
  'object',
  'id',
  'created_at',
  'updated_at',
  'started_at',
  'finished_at',
  'estimated_finish',
  'organization_id',
  'result_files',
  'status',
  'trained_tokens',
  'error',
  'usage_metrics',
  'shared_with_openai',
];

/**
 * A `fine_tuning.job` of OpenAI's API, and of Azure OpenAI, which has the same object with keys of its own. What it says of the method is in `method` since
 * 2024 and in `hyperparameters` before.
 */
export const openai: Provider = {
  name: 'OpenAI',
  isFrom: ({ object }) => object === 'fine_tuning.job',
  read: (ledger, job) => {
    ledger.pass(FACTS);
    const hyperparameters = readMethod(ledger, job);
    if (ledger.take('integrations') !== undefined) ledger.drop('integrations', METRICS_ELSEWHERE);
    if (ledger.take('trainingType') !== undefined)
      ledger.drop('trainingType', 'runs train on the workers of this stack');
    if (ledger.take('eval_id') !== undefined)
      ledger.drop('eval_id', 'export the eval and score the result with it: `npx moraine eval --suite openai_evals`');
    return {
      id: idIn(job),
      keys: { model: 'model', training: 'training_file', validation: 'validation_file' },
      request: {
        method: { type: 'supervised', ...(hyperparameters ? { supervised: { hyperparameters } } : {}) },
        seed: keepWhole(ledger, 'seed', BOUNDS.seed, 'of data order, initial values and dropout'),
        suffix: readSuffix(ledger, job),
        metadata: readMetadata(ledger),
      },
    };
  },
};

function readMethod(ledger: Ledger, job: Json): Json | undefined {
  const method = ledger.inside('method');
  const type = method?.take('type') ?? 'supervised';
  if (type !== 'supervised') throw notSupervised(`of the method '${String(type)}'`);
  method?.pass(['dpo', 'reinforcement']);
  method?.keep('type', type, 'here with an adapter of the default method and rank; --method and --rank take others');
  const supervised = method?.inside('supervised')?.inside('hyperparameters');
  const older = isObject(job.hyperparameters) ? job.hyperparameters : {};
  // The older key repeats what the newer one says.
  if (supervised) ledger.pass(['hyperparameters']);
  const from = supervised ?? ledger.inside('hyperparameters');
  if (!from) return undefined;
  if ('prompt_loss_weight' in older && older.prompt_loss_weight)
    from.drop('prompt_loss_weight', 'prompts are not learned here, answers alone');
  return filled({
    n_epochs: orAuto(from, 'n_epochs', (key) => keepWhole(from, key, BOUNDS.epochs)),
    batch_size: orAuto(from, 'batch_size', (key) => keepWhole(from, key, BOUNDS.batch)),
    learning_rate_multiplier: orAuto(from, 'learning_rate_multiplier', (key) =>
      keepNumber(from, key, BOUNDS.multiplier, 'of the automatic rate of the base and the method here'),
    ),
  });
}

/** `auto`, which Azure also writes as −1. */
function orAuto(ledger: Ledger, key: string, keep: (key: string) => number | undefined): number | 'auto' | undefined {
  const value = ledger.take(key);
  if (value !== 'auto' && value !== -1) return keep(key);
  ledger.keep(key, 'auto', 'which the dry run puts into numbers');
  return 'auto';
}

/** OpenAI's retrieve has it as `user_provided_suffix`, Azure's as `suffix`; else it stands in the name of the model. */
function readSuffix(ledger: Ledger, { fine_tuned_model: name }: Json): string | undefined {
  ledger.pass(['fine_tuned_model']);
  const written = keepText(ledger, 'user_provided_suffix', 64) ?? keepText(ledger, 'suffix', 64);
  if (written !== undefined || typeof name !== 'string') return written;
  // ft:BASE:ORGANISATION:SUFFIX:ID, and of Azure BASE.ft-ID-SUFFIX
  const found = /^ft:[^:]*:[^:]*:([^:]+):[^:]+$/.exec(name)?.[1] ?? /\.ft-[0-9a-f]{32}-(.+)$/.exec(name)?.[1];
  if (found !== undefined) ledger.keep('suffix', found, `from the name ${name}`);
  return found;
}

function readMetadata(ledger: Ledger): Json | undefined {
  const pairs = ledger.take('metadata');
  if (!isObject(pairs)) return undefined;
  ledger.keep(
    'metadata',
    Object.entries(pairs)
      .map(([key, value]) => `${key}=${String(value)}`)
      .join(', '),
  );
  return pairs;
}
