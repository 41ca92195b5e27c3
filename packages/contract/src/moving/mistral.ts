import { BOUNDS, filled, type Json, keepNumber, keepText, keepWhole, type Ledger } from './ledger.js';
import { idIn, METRICS_ELSEWHERE, notSupervised, type Provider } from './provider.js';

const FACTS = [
  'id',
  'object',
  'job_type',
  'status',
  'created_at',
  'modified_at',
  'fine_tuned_model',
  'trained_tokens',
  // Cost and duration as they were expected.
  'metadata',
  'events',
  'checkpoints',
];

/** `GET /v1/fine_tuning/jobs/{id}` of Mistral. */
export const mistral: Provider = {
  name: 'Mistral',
  isFrom: ({ object, job_type: type }) => object === 'job' || type === 'completion' || type === 'classifier',
  read: (ledger, job) => {
    if (job.job_type !== undefined && job.job_type !== 'completion')
      throw notSupervised(`of the type '${String(job.job_type)}'`);
    ledger.pass(FACTS);
    if (ledger.take('auto_start') === false)
      ledger.drop('auto_start', 'a run starts when a worker takes it; see --dry-run');
    if (ledger.take('integrations') !== undefined) ledger.drop('integrations', METRICS_ELSEWHERE);
    if (ledger.take('repositories') !== undefined) ledger.drop('repositories', 'models stay on this stack');
    const from = ledger.inside('hyperparameters');
    return {
      id: idIn(job),
      keys: {
        ...{ model: 'model', training: 'training_files', validation: 'validation_files' },
        tokens: 'hyperparameters.seq_len',
      },
      request: { ...(from ? readHyperparameters(from) : {}), suffix: keepText(ledger, 'suffix', 64) },
    };
  },
};

function readHyperparameters(from: Ledger): Json {
  if (from.take('fim_ratio')) from.drop('fim_ratio', 'rows are learned from left to right');
  return {
    method: { type: 'supervised', supervised: { hyperparameters: filled({ n_epochs: readEpochs(from) }) ?? {} } },
    max_steps: keepWhole(from, 'training_steps', BOUNDS.steps),
    max_seq_len: keepWhole(from, 'seq_len', BOUNDS.tokens),
    optimizer: filled({
      learning_rate: keepNumber(from, 'learning_rate', BOUNDS.rate, 'absolute, as it was'),
      weight_decay: keepNumber(from, 'weight_decay', BOUNDS.share),
    }),
    schedule: filled({ warmup_ratio: keepNumber(from, 'warmup_fraction', BOUNDS.share) }),
  };
}

/** Theirs may be parts of one. */
function readEpochs(from: Ledger): number | undefined {
  const epochs = from.take('epochs');
  if (typeof epochs !== 'number' || Number.isInteger(epochs)) return keepWhole(from, 'epochs', BOUNDS.epochs);
  const whole = Math.min(Math.max(Math.ceil(epochs), BOUNDS.epochs[0]), BOUNDS.epochs[1]);
  from.keep('epochs', epochs, `here whole ones: ${whole}`);
  return whole;
}
