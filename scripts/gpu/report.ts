/** What `npm run test:gpu` found, as a page. */
import type { DoctorReport } from '@moraine/engine/install';
import type { BenchRun } from './bench-run.js';
import { type Comparison, type Golden, isWithin } from './numerics.js';

export interface GpuFindings {
  machine: DoctorReport;
  golden: Golden;
  comparisons: readonly Comparison[];
  runs: readonly BenchRun[];
}

const whole = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : Math.round(value).toLocaleString('en');

export function gpuReport({ machine, golden, comparisons, runs }: GpuFindings): string {
  const { device, nvidia } = machine;
  const methods = [...new Set(comparisons.map(({ method }) => method))];
  const kinds = [...new Set(comparisons.map(({ what }) => what))];
  const cell = (what: string, method: string): string => {
    const found = comparisons.find((one) => one.what === what && one.method === method);
    if (found === undefined) return '';
    if (found.difference === null) return `failed: ${found.problem.split('\n')[0]}`;
    return `${found.difference === 0 ? '0' : found.difference.toExponential(1)}${isWithin(found) ? '' : ' (over)'}`;
  };
  const limitOf = (what: string): string => {
    const limits = [...new Set(comparisons.filter((one) => one.what === what).map(({ limit }) => limit))];
    return limits.map((limit) => (limit === null ? 'none' : limit.toExponential())).join(' / ');
  };
  const bench = runs.map(({ figures, problem, args, cardMb }) => {
    if (figures === null) return `| ${args[1]} | ${args[3]} | failed: ${problem.split('\n').at(-1)} | | | | | | |`;
    const { shape, mode, batch, seq } = figures;
    const first = figures.first_step_ms === null ? '' : (figures.first_step_ms / 1000).toFixed(1);
    const columns = [
      ...[shape, mode, `${batch} x ${seq}`, whole(figures.tokens_per_second)],
      ...[figures.step_ms_median?.toFixed(1) ?? '', first, figures.decode_tokens_per_second?.toFixed(1) ?? ''],
      ...[whole(figures.peak_rss_mb), whole(cardMb)],
    ];
    return `| ${columns.join(' | ')} |`;
  });
  return `# ${device?.name ?? 'unknown device'}

Written by \`npm run test:gpu\`. TensorFlow ${device?.tensorflow}, Node ${machine.node}, ${machine.platform}, ${
    nvidia === null ? 'no NVIDIA driver: this run shows only that the script works' : `driver ${nvidia.version}`
  }; ${machine.processor}, ${machine.cores} cores.

## Numerics

PyTorch's fixtures (\`packages/lm/test/golden.test.ts\`, TF32 off): ${golden.passed} tests passed, ${golden.failed} failed.
${golden.problems.map((name) => `- ${name}\n`).join('')}
Ten losses of the example task (\`examples/base\`, batch 8, rank 8), largest relative difference. TF32 is off except where it is named.
bfloat16 rounds frozen weights and what they meet to 8 bits (2^-9), hence its limit; full tuning freezes nothing.

| | ${methods.join(' | ')} | limit |
|---|${methods.map(() => '---').join('|')}|---|
${kinds.map((what) => `| ${what} | ${methods.map((method) => cell(what, method)).join(' | ')} | ${limitOf(what)} |`).join('\n')}

## Speed

LoRA, rank 8 on every linear layer, random weights and tokens; float32 products use TF32 where the card has it. Decoding is greedy, one row.
The first step is counted from the start of the process, compilation of kernels included.

| shape | mode | step | tokens/s | step, ms | first step, s | decoded tokens/s | memory, MB | card, MB |
|---|---|---|--:|--:|--:|--:|--:|--:|
${bench.join('\n')}
`;
}
