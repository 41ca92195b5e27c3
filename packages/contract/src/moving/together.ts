import { BOUNDS, filled, type Json, keepNumber, keepText, keepWhole, type Ledger } from './ledger.js';
import { idIn, METRICS_ELSEWHERE, notSupervised, type Provider } from './provider.js';

const FACTS = [
  'id',
  'job_id',
  'object',
  'status',
  'user_id',
  'created_at',
  'updated_at',
  'started_at',
  'early_stopped',
  'early_stopping_best_metric',
  'early_stopping_best_step',
  'epochs_completed',
  'eval_steps',
  'events',
  'model_output_name',
  'model_output_path',
  'param_count',
  'progress',
  'queue_depth',
  'token_count',
  'total_price',
  'trainingfile_numlines',
  'trainingfile_size',
  'TrainingFileNumLines',
  'TrainingFileSize',
  // Written `false` and `auto` twice: training_method has the newer one.
  'train_on_inputs',
];

/** A cosine of half a wave falls once: the only one that there is here. */
const HALF_WAVE = 0.5;

/** `GET /fine-tunes/{id}` of Together, with the flat adapter keys that it had before `training_type`. */
export const together: Provider = {
  name: 'Together',
  isFrom: (job) =>
    typeof job.id === 'string' &&
    /^ft-/.test(job.id) &&
    ['training_type', 'n_epochs', 'learning_rate'].some((key) => key in job),
  read: (ledger, job) => {
    ledger.pass(FACTS);
    refuseOther(ledger, job);
    for (const key of ['wandb_project_name', 'wandb_url', 'wandb_name', 'wandb_base_url'])
      if (ledger.take(key) !== undefined) ledger.drop(key, METRICS_ELSEWHERE);
    if (ledger.take('from_checkpoint') !== undefined)
      ledger.drop('from_checkpoint', 'register its adapter (`npx moraine models add`) and name that with --base');
    for (const key of ['n_evals', 'n_checkpoints'])
      if (ledger.take(key) !== undefined)
        ledger.drop(key, 'here about ten evaluations a run, and checkpoints by time; a --config FILE says otherwise');
    const epochs = keepWhole(ledger, 'n_epochs', BOUNDS.epochs);
    return {
      id: idIn(job),
      keys: { model: 'model', training: 'training_file', validation: 'validation_file' },
      request: {
        adapter: readAdapter(ledger),
        method: { type: 'supervised', supervised: { hyperparameters: filled({ n_epochs: epochs }) ?? {} } },
        batch_size: readBatch(ledger),
        optimizer: filled({
          learning_rate: keepNumber(ledger, 'learning_rate', BOUNDS.rate, 'absolute, as it was'),
          weight_decay: keepNumber(ledger, 'weight_decay', BOUNDS.share),
          max_grad_norm: keepNumber(ledger, 'max_grad_norm', [0, Number.MAX_VALUE]),
        }),
        schedule: readSchedule(ledger),
        suffix: readSuffix(ledger, job),
      },
    };
  },
};

function refuseOther(ledger: Ledger, job: Json): void {
  const method = ledger.inside('training_method');
  const name = method?.take('method') ?? 'sft';
  if (name !== 'sft') throw notSupervised(`of the method '${String(name)}'`);
  method?.keep('method', name);
  const learnsPrompts = method?.take('train_on_inputs') ?? job.train_on_inputs;
  if (learnsPrompts === true)
    (method ?? ledger).drop('train_on_inputs', 'prompts are not learned here; rows {"text"} are learned whole');
}

function readBatch(ledger: Ledger): number | undefined {
  if (ledger.take('batch_size') !== 'max') return keepWhole(ledger, 'batch_size', BOUNDS.rows, 'rows a step');
  ledger.drop('batch_size', 'as many as their machine held; here it follows the number of rows, or --batch-size');
  return undefined;
}

function readAdapter(ledger: Ledger): Json | undefined {
  const type = ledger.inside('training_type');
  if (type?.take('type') === 'Full' || (type === undefined && ledger.take('lora') === false)) {
    type?.keep('type', 'Full', 'every weight is trained');
    return { type: 'none' };
  }
  ledger.pass(['lora']);
  type?.keep('type', 'Lora');
  const from = type ?? ledger;
  const modules = from.take('lora_trainable_modules');
  if (modules !== undefined) from.keep('lora_trainable_modules', modules);
  return {
    type: 'lora',
    ...filled({
      rank: keepWhole(from, 'lora_r', BOUNDS.rank),
      alpha: keepNumber(from, 'lora_alpha', [Number.MIN_VALUE, Number.MAX_VALUE]),
      dropout: keepNumber(from, 'lora_dropout', BOUNDS.dropout),
      target_modules: typeof modules === 'string' ? modulesOf(modules) : undefined,
    }),
  };
}

const modulesOf = (written: string): string | string[] =>
  written === 'all-linear' ? written : written.split(',').map((name) => name.trim());

function readSchedule(ledger: Ledger): Json | undefined {
  const scheduler = ledger.inside('lr_scheduler');
  const type = scheduler?.take('lr_scheduler_type');
  const wave = scheduler?.inside('lr_scheduler_args');
  const cycles = wave?.take('num_cycles');
  const isKnown = type === 'linear' || (type === 'cosine' && (cycles === undefined || cycles === HALF_WAVE));
  if (type !== undefined && isKnown) scheduler?.keep('lr_scheduler_type', type);
  else if (type === 'cosine') wave?.drop('num_cycles', 'a cosine falls once here, from the peak to the end');
  else if (type !== undefined) scheduler?.drop('lr_scheduler_type', 'a schedule that is not known here');
  return filled({
    type: isKnown || type === 'cosine' ? type : undefined,
    min_ratio: wave && keepNumber(wave, 'min_lr_ratio', BOUNDS.share),
    warmup_ratio: keepNumber(ledger, 'warmup_ratio', BOUNDS.share),
  });
}

/** It stands in the name of the result alone: ACCOUNT/MODEL-SUFFIX-EIGHT_DIGITS. */
function readSuffix(ledger: Ledger, { model, model_output_name: name }: Json): string | undefined {
  const written = keepText(ledger, 'suffix', 64);
  if (written !== undefined || typeof model !== 'string' || typeof name !== 'string') return written;
  const own = name.split('/').at(-1) ?? '';
  const base = model.split('/').at(-1) ?? '';
  const found = own.startsWith(`${base}-`) ? /^(.+)-[0-9a-f]{8}$/.exec(own.slice(base.length + 1))?.[1] : undefined;
  if (found !== undefined) ledger.keep('suffix', found, `from the name ${name}`);
  return found;
}
