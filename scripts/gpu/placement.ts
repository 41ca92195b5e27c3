/**
 * `npx tsx scripts/gpu/placement.ts`: which operations of our graphs TensorFlow would run on a GPU, asked of the CUDA wheel's own
 * library on a machine without one. Needs `npm run setup -- --cuda` (3.4 GB) or `--library libtensorflow_cc.so.2` of that wheel.
 * Ends with status 1 when a node that is pinned nowhere has no kernel for a GPU, or one that holds or multiplies weights is pinned.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { linearShapes } from '@moraine/contract/plan';
import { type Adapter, createMethod, createOptimizer, trainingProgram } from '@moraine/lm';
import { loadBase } from '@moraine/recipes';
import { loadTf } from '../../packages/engine/dist/load.js';
import { runtimePackageDir } from '../../packages/engine/dist/runtime-package.js';
import { type TracedMode, traceProgram } from '../../packages/engine/dist/session/trace-program.js';

interface Operation {
  op: string;
  types: Record<string, string>;
  nodes: number;
  pinned: string;
  /** Devices with a kernel for these types. */
  devices: ('CPU' | 'GPU')[];
  /** Inputs and outputs that the GPU's kernel keeps in the machine's memory. */
  host: string[];
}

const { values } = parseArgs({ options: { library: { type: 'string' }, json: { type: 'boolean', default: false } } });
const root = resolve(import.meta.dirname, '../..');
const library = resolve(values.library ?? join(runtimePackageDir(), 'deps/lib/libtensorflow_cc.so.2'));
const work = mkdtempSync(join(tmpdir(), 'moraine-placement-'));

async function operations(adapter: Adapter | null, mode: TracedMode): Promise<Operation[]> {
  const { config, weights } = loadBase(join(root, 'examples/base'));
  const shape = [{ batch: 4, time: 64 }];
  const { program } = trainingProgram({
    config,
    weights,
    adapter,
    optimizer: createOptimizer({
      type: 'adamw',
      beta1: 0.9,
      beta2: 0.999,
      eps: 1e-8,
      weightDecay: 0.1,
      maxGradNorm: 1,
    }),
    seed: 1,
    shapes: shape,
    evaluation: shape,
    generation: { batches: [1, 4], prefillTimes: [32, 64], contextMax: 128 },
  });
  const { graph } = await traceProgram(program, mode);
  const file = join(work, 'saved_model.pb');
  writeFileSync(file, graph.savedModel());
  const printed = execFileSync('python3', [join(import.meta.dirname, 'kernels.py'), library, file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3' },
  });
  return JSON.parse(printed) as Operation[];
}

/** Allowed on the processor: moving weights out of files, once. */
const LOADING = new Set(['ImmutableConst', 'AddV2', 'Slice', 'Reshape', 'Bitcast', 'DeepCopy', 'Cast', 'Const']);

function describe({ op, types, nodes, pinned, devices }: Operation): string {
  const named = Object.values(types).join(' ');
  return `${op} (${named}), ${nodes} nodes${pinned === '' ? '' : `, pinned to ${pinned}`}: ${devices.join(' and ') || 'no kernel'}`;
}

loadTf();
const { config } = loadBase(join(root, 'examples/base'));
const paths = linearShapes(config).map(({ name }) => name);
const adapters: Record<string, Adapter | null> = {
  full: null,
  lora: { method: createMethod({ type: 'lora', rank: 8, alpha: 16, use_rslora: false }), paths, dropout: 0.05 },
  'mora-1': { method: createMethod({ type: 'mora', rank: 8, mora_type: 1 }), paths, dropout: 0.05 },
  'mora-6': { method: createMethod({ type: 'mora', rank: 8, mora_type: 6 }), paths, dropout: 0.05 },
};
if (!existsSync(library)) throw new Error(`${library} does not exist. Run: npm run setup -- --cuda`);

let bad = 0;
const seen = new Set<string>();
try {
  for (const mode of ['plain', 'bf16'] as const) {
    for (const [name, adapter] of Object.entries(adapters)) {
      const found = await operations(adapter, mode);
      const count = (list: readonly Operation[]): number => list.reduce((sum, { nodes }) => sum + nodes, 0);
      const free = found.filter(({ pinned }) => pinned === '');
      const without = free.filter(({ devices }) => !devices.includes('GPU'));
      const pinned = found.filter(({ pinned: at, op }) => at !== '' && !LOADING.has(op));
      const host = free.filter((one) => one.host.length > 0 && Object.values(one.types).includes('int32'));
      console.log(
        `${mode} ${name}: ${count(found)} nodes, ${count(free)} placed freely, ${count(without)} of them without a GPU kernel, ${count(host)} with small integers in the machine's memory`,
      );
      for (const one of [...without, ...pinned]) {
        bad += 1;
        if (!seen.has(describe(one))) console.log(`  ${describe(one)}`);
        seen.add(describe(one));
      }
      if (values.json) console.log(JSON.stringify(found));
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
if (bad > 0) process.exitCode = 1;
