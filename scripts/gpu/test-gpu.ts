/**
 * `npm run test:gpu`: numerics and speed on a machine with an NVIDIA GPU; nothing of it needs a network. Writes figures and a report into
 * `--out` (default docs/benchmarks/gpu-<card>). Ends with status 1 when there is no GPU or a comparison is over its limit.
 * `--allow-cpu` runs the same on the CPU with the smallest shape, as proof of the script; `--shapes 15m,135m,1b` chooses what is measured.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { doctor } from '@moraine/engine/install';
import { type BenchRun, runBench } from './bench-run.js';
import { compareModes, isWithin, runGolden } from './numerics.js';
import { gpuReport } from './report.js';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    'allow-cpu': { type: 'boolean', default: false },
    shapes: { type: 'string' },
    steps: { type: 'string', default: '22' },
  },
});

const say = (line: string): void => {
  process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
};

/** Rows and tokens a step that fill a card: about 8,000 tokens for small models, 4,000 for large ones. */
const STEP_OF: Record<string, [batch: number, seq: number]> = {
  '260k': [4, 128],
  '15m': [32, 256],
  '42m': [32, 256],
  '135m': [16, 512],
  '1b': [8, 512],
};

async function measure(shapes: readonly string[], modes: readonly string[], steps: number): Promise<BenchRun[]> {
  const runs: BenchRun[] = [];
  for (const shape of shapes) {
    const size = STEP_OF[shape];
    if (size === undefined) throw new Error(`--shapes knows ${Object.keys(STEP_OF).join(', ')}, not ${shape}`);
    const [batch, seq] = size;
    for (const mode of modes) {
      const words = ['--shape', shape, '--mode', mode, '--batch', String(batch), '--seq', String(seq)];
      const run = await runBench([...words, '--steps', String(steps), '--decode', '64']);
      runs.push(run);
      const { figures, problem } = run;
      say(`${shape} ${mode}: ${figures === null ? problem : `${figures.tokens_per_second?.toFixed(0)} tokens/s`}`);
    }
  }
  return runs;
}

const machine = await doctor();
const { device } = machine;
const hasGpu = device?.kind === 'gpu';
if (!hasGpu) {
  const why = machine.problems.map(({ what, fix }) => `${what} ${fix}`).join('\n  ');
  const reason = machine.nvidia === null ? 'there is no NVIDIA driver on this machine' : (device?.note ?? why);
  process.stderr.write(`no GPU found: ${reason}${machine.nvidia !== null && why !== '' ? `\n  ${why}` : ''}\n`);
  if (!values['allow-cpu'] || device === null) process.exit(1);
}

const slug = (device?.name ?? 'unknown').toLowerCase().replace(/[^a-z0-9]+/g, '-');
const out = resolve(values.out ?? (hasGpu ? `docs/benchmarks/gpu-${slug}` : join(tmpdir(), `moraine-gpu-${slug}`)));
mkdirSync(out, { recursive: true });
say(`${device?.name}, figures go to ${out}`);

const golden = await runGolden();
say(`PyTorch's fixtures: ${golden.passed} tests passed, ${golden.failed} failed`);
const comparisons = await compareModes(say);
const shapes = (values.shapes ?? (hasGpu ? '15m,135m,1b' : '260k')).split(',');
const runs = await measure(shapes, ['plain', 'bf16', 'xla'], Number(values.steps));

const write = (name: string, value: unknown): void =>
  writeFileSync(join(out, name), `${JSON.stringify(value, null, 2)}\n`);
write('numerics.json', { golden, comparisons });
write(
  'bench.json',
  runs.map(({ args, figures, problem, cardMb }) => ({
    command: `moraine local bench ${args.join(' ')}`,
    figures,
    problem,
    cardMb,
  })),
);
writeFileSync(join(out, 'README.md'), gpuReport({ machine, golden, comparisons, runs }));
const bad =
  golden.failed +
  comparisons.filter((one) => !isWithin(one)).length +
  runs.filter(({ figures }) => figures === null).length;
say(
  bad === 0 ? `Everything is within its limit: ${join(out, 'README.md')}` : `${bad} results are not as they must be.`,
);
process.exitCode = bad === 0 ? 0 : 1;
