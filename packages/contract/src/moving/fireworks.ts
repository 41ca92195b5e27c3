import { BOUNDS, filled, type Json, keepNumber, keepWhole, type Ledger } from './ledger.js';
import { METRICS_ELSEWHERE, notSupervised, type Provider } from './provider.js';

const FACTS = [
  'name',
  'state',
  'status',
  'createTime',
  'completedTime',
  'updateTime',
  'createdBy',
  'jobProgress',
  'metricsFileSignedUrl',
  'trainerLogsSignedUrl',
  'estimatedCost',
  // How their machines did it: the result is the same.
  'region',
  'nodes',
  'isTurbo',
];

/** Keys of a job that ask for something else than what is trained here, and why they stay behind. */
const LEFT: Readonly<Record<string, string>> = {
  wandbConfig: METRICS_ELSEWHERE,
  warmStartFrom: 'register its adapter (`npx moraine models add`) and name that with --base',
  jinjaTemplate: 'the chat template of the base is used, as it is',
  batchSize: 'it counts tokens of packed rows; here it follows the number of rows, or --batch-size',
  gradientAccumulationSteps: 'how a step is divided does not change it; --config FILE has `accumulation`',
  evalAutoCarveout: 'give --validation-file, or a share of the rows with --validation-split',
  awsS3Config: 'files are uploaded from this machine',
  azureBlobStorageConfig: 'files are uploaded from this machine',
};

/** Their evaluations without an improvement are not in the job. */
const PATIENCE = 3;

/** `GET /v1/accounts/{account}/supervisedFineTuningJobs/{id}` of Fireworks. Its JSON is proto3's: zeros and UNSPECIFIED say nothing. */
export const fireworks: Provider = {
  name: 'Fireworks',
  isFrom: ({ name }) => typeof name === 'string' && /\/\w*FineTuningJobs\/|\/dpoJobs\//i.test(name),
  read: (ledger, job) => {
    if (!/\/supervisedFineTuningJobs\//.test(String(job.name)))
      throw notSupervised(`one of ${String(job.name).split('/').at(-2)}`);
    ledger.pass([...FACTS, ...Object.keys(job).filter((key) => job[key] === 0)]);
    for (const [key, why] of Object.entries(LEFT)) if (ledger.take(key)) ledger.drop(key, why);
    const rank = keepSet(job, 'loraRank', () => keepWhole(ledger, 'loraRank', BOUNDS.rank));
    return {
      id: String(job.name).split('/').at(-1),
      keys: { model: 'baseModel', training: 'dataset', validation: 'evaluationDataset', tokens: 'maxContextLength' },
      request: {
        adapter: rank === undefined ? undefined : { type: 'lora', rank },
        method: {
          type: 'supervised',
          supervised: {
            hyperparameters: filled({
              n_epochs: keepSet(job, 'epochs', () => keepWhole(ledger, 'epochs', BOUNDS.epochs)),
            }),
          },
        },
        batch_size: keepSet(job, 'batchSizeSamples', () =>
          keepWhole(ledger, 'batchSizeSamples', BOUNDS.rows, 'rows a step'),
        ),
        optimizer: filled({
          learning_rate: keepSet(job, 'learningRate', () =>
            keepNumber(ledger, 'learningRate', BOUNDS.rate, 'absolute, as it was'),
          ),
          weight_decay: keepSet(job, 'optimizerWeightDecay', () =>
            keepNumber(ledger, 'optimizerWeightDecay', BOUNDS.share),
          ),
        }),
        schedule: filled({
          warmup_steps: keepSet(job, 'learningRateWarmupSteps', () =>
            keepWhole(ledger, 'learningRateWarmupSteps', BOUNDS.steps),
          ),
        }),
        max_seq_len: keepSet(job, 'maxContextLength', () => keepWhole(ledger, 'maxContextLength', BOUNDS.tokens)),
        early_stopping: readStopping(ledger),
        suffix: readSuffix(ledger),
      },
    };
  },
};

const keepSet = <T>(job: Json, key: string, keep: () => T): T | undefined => (job[key] === 0 ? undefined : keep());

function readStopping(ledger: Ledger): Json | undefined {
  if (ledger.take('earlyStop') !== true) return undefined;
  ledger.keep('earlyStop', true, `after ${PATIENCE} evaluations without an improvement; --patience says otherwise`);
  return { patience: PATIENCE };
}

/** The name of the result without its account, or else what the job is shown as. */
function readSuffix(ledger: Ledger): string | undefined {
  const [output, shown] = [ledger.take('outputModel'), ledger.take('displayName')];
  const found = typeof output === 'string' ? output.split('/').at(-1) : shown;
  if (typeof found !== 'string' || found === '') return undefined;
  const suffix = found.slice(0, 64);
  ledger.keep(output === undefined ? 'displayName' : 'outputModel', suffix, 'as the suffix of the name');
  return suffix;
}
