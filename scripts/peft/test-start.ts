/**
 * `npm run test:start`: PEFT writes adapters, `local train --from` goes on training each for ten steps, and PEFT does the same from the same folder;
 * the losses must be equal. Needs .venv/peft, which it makes (several GB).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { encodeFile, loadTokenizer } from '@moraine/data';
import { referencePython } from './environment.js';

const root = resolve(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'moraine-start-'));
const base = join(root, 'examples/base');
const python = referencePython();
const program = join(import.meta.dirname, 'start.py');
const ROWS = 8;
const STEPS = 10;
const RATE = 1e-3;

try {
  const data = join(work, 'rows.jsonl');
  const lines = readFileSync(join(root, 'examples/tasks/record-train.jsonl'), 'utf8').split('\n').slice(0, ROWS);
  writeFileSync(data, `${lines.join('\n')}\n`);
  const tokenizer = await loadTokenizer(base);
  const { rows } = await encodeFile(data, tokenizer, { maxSeqLen: 256 });

  const adapters = join(work, 'adapters');
  execFileSync(python, [program, 'make', base, adapters], { stdio: 'inherit' });
  const config = join(work, 'config.json');
  const body = {
    optimizer: { learning_rate: RATE, max_grad_norm: 0 },
    schedule: { type: 'constant', warmup_steps: 0 },
    batch_size: ROWS,
    max_steps: STEPS,
  };
  writeFileSync(config, JSON.stringify(body));
  const cases = readdirSync(adapters).map((name) => {
    const [adapter, out] = [join(adapters, name), join(work, `run ${name}`)];
    const options = [
      '--base',
      base,
      '--data',
      data,
      '--out',
      out,
      '--config',
      config,
      '--from',
      adapter,
      '--seed',
      '1',
    ];
    execFileSync('node', [join(root, 'apps/cli/bin/moraine.mjs'), 'local', 'train', ...options, '--json']);
    const metrics = readFileSync(join(out, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const losses = metrics.map((line) => (JSON.parse(line) as { train_loss: number }).train_loss);
    return { name, adapter, learningRate: RATE, losses };
  });
  const file = join(work, 'cases.json');
  writeFileSync(file, JSON.stringify({ rows: rows.map(({ ids, labels }) => ({ ids, labels })), cases }));
  process.exitCode = spawnSync(python, [program, 'losses', base, file], { stdio: 'inherit' }).status ?? 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
