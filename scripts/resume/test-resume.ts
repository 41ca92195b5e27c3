/**
 * `npm run test:resume -- [--steps 100] [--method WORD …]`: every word of `--method` (dropout on where the method has it, two micro-batches a
 * step) and restarts of LoRA and MoRA trains on the shipped base, with a checkpoint after ten steps inside an epoch; then each goes on from there, with
 * everything read and traced anew, and every loss, gradient norm, weight and number of the optimiser is compared to the bit.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type AttemptEvent,
  CreateRunRequest,
  METHOD_SPELLINGS,
  methodRow,
  requestOf,
  type TrainSpec,
} from '@moraine/contract';
import { checkResume, planRun, runSft } from '@moraine/recipes';

const { values } = parseArgs({
  options: { steps: { type: 'string', default: '100' }, method: { type: 'string', multiple: true, default: [] } },
});
const BEFORE = 10;
const examples = resolve(import.meta.dirname, '../../examples');
const dir = mkdtempSync(join(tmpdir(), 'moraine-resume-'));
const control = { stopRequested: () => null };
const rows = join(dir, 'rows.jsonl');
const lines = readFileSync(join(examples, 'tasks/record-train.jsonl'), 'utf8').split('\n').slice(0, 50);
writeFileSync(rows, `${lines.join('\n')}\n`);

async function specOf(name: string, adapter: object): Promise<TrainSpec> {
  const outDir = join(dir, name);
  mkdirSync(outDir);
  const max_steps = BEFORE + Number(values.steps);
  const sizes = { batch_size: 4, accumulation: 2, max_steps, checkpoint: { every_steps: BEFORE } };
  const request = CreateRunRequest.parse({ model: 'm', training_file: 'f', adapter, ...sizes });
  const baseDir = join(examples, 'base');
  const plan = { request, baseDir, baseName: 'base', trainingFile: rows, otherFiles: [], seed: 7 };
  const files = { baseDir, baseName: 'base', trainingFile: rows, validationFile: null, evaluationFiles: [] };
  const config = await planRun(plan);
  return { kind: 'train', taskId: name, attempt: 1, ...files, config, outDir, resumeFrom: null, threads: 0 };
}

async function check(name: string, adapter: object): Promise<string> {
  const spec = await specOf(name, adapter);
  const events: AttemptEvent[] = [];
  await runSft(spec, (event) => events.push(event), control);
  const saved = events.flatMap((event) => (event.type === 'checkpoint' ? [event] : []));
  const recorded = events.flatMap((event) =>
    event.type === 'metrics'
      ? [
          {
            step: event.step,
            loss: event.values.train_loss ?? Number.NaN,
            gradNorm: event.values.grad_norm ?? Number.NaN,
          },
        ]
      : [],
  );
  const [from, until] = [saved[0]?.dir ?? null, saved.at(-1) ?? { step: 0, dir: '' }];
  const found = await checkResume({ spec: { ...spec, resumeFrom: from }, until, recorded }, control);
  rmSync(spec.outDir, { recursive: true });
  console.log(`${name.padEnd(18)} ${found?.status}  ${found?.message}`);
  return found?.status ?? 'stopped';
}

/** With dropout, where the method has it. */
const adapterOf = (word: string): object => {
  const request = requestOf(word);
  const { keys, shared } = methodRow(request);
  const hasDropout = [...Object.keys(keys), ...shared].includes('dropout');
  return { ...request, ...(hasDropout ? { dropout: 0.1 } : {}) };
};
const restart = { restart: { every: 40, warmup: 5 } };
const all: [string, object][] = [
  ...METHOD_SPELLINGS.map((word): [string, object] => [word, adapterOf(word)]),
  ['relora', { ...adapterOf('lora'), ...restart }],
  ['remora', { ...adapterOf('mora-1'), ...restart }],
];
const wanted = all.filter(([name]) => values.method.length === 0 || values.method.includes(name));
const statuses: string[] = [];
for (const [name, adapter] of wanted) statuses.push(await check(name, adapter));
rmSync(dir, { recursive: true });
const equal = statuses.filter((status) => status === 'equal').length;
console.log(`${equal} of ${statuses.length} are equal to the bit over ${values.steps} steps`);
process.exitCode = equal === statuses.length ? 0 : 1;
