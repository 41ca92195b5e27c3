/**
 * `npm run coverage`: writes docs/coverage.md, which methods, families, optimisers, modes and exports are held against PyTorch together, from
 * the matrix of the golden tests and the rows of the contract. `--check` says whether the page is what it would write.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  AdapterRequest,
  EXPORT_FORMATS,
  type MethodConfig,
  methodRow,
  NumericMode,
  OPTIMIZER_NAMES,
} from '@moraine/contract';
import { ARCHITECTURES, parseModelConfig, resolveAdapter } from '@moraine/contract/plan';
import { goldenRows, isCompiledOnce, isStepped, isTestedIn, matrix } from '../../packages/lm/test/golden-set.js';

const file = join(import.meta.dirname, '../../docs/coverage.md');
const TESTED = '**tested**';
const GRADIENTS = '**gradients**, steps';
const STEPS = 'steps';
const TAKEN = 'taken';
const FORMATS = EXPORT_FORMATS;
/** Families that are asked for and not there: a base of one is refused at registration. */
const PLANNED = ['phi3', 'gpt_neox'];

type Row = (typeof matrix.methods)[number];

const rowsOf = (method: Row) => goldenRows.filter((row) => row.method.name === method.name);
const modelType = (family: { config: Record<string, unknown> }): string => String(family.config.model_type);

function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : ':-:'))), ...body.map(line)].join('\n');
}

/** The method as a run stores it, on the first family. */
function configOf(method: Row): MethodConfig {
  const { name: _name, ...rest } = method as Row & Record<string, unknown>;
  const known = Object.entries(rest).filter(([key]) => key in AdapterRequest.shape);
  const base = parseModelConfig(matrix.families[0]?.config ?? {});
  return resolveAdapter(AdapterRequest.parse(Object.fromEntries(known)), base).adapter;
}

const families = table(
  ['method', ...ARCHITECTURES.map((family) => family.modelType), ...PLANNED],
  matrix.methods.map((method) => [
    method.name,
    ...ARCHITECTURES.map((family) =>
      rowsOf(method).some((row) => modelType(row.family) === family.modelType) ? TESTED : TAKEN,
    ),
    ...PLANNED.map(() => 'planned'),
  ]),
);
const modes = table(
  ['method', ...NumericMode.options],
  matrix.methods.map((method) => [method.name, ...NumericMode.options.map((mode) => modeOf(method, mode))]),
);
function modeOf(method: (typeof matrix.methods)[number], mode: NumericMode): string {
  const rows = rowsOf(method);
  if (rows.some((row) => isTestedIn(mode, row))) return TESTED;
  if (mode !== 'xla') return TAKEN;
  return rows.some(isCompiledOnce) ? GRADIENTS : rows.some(isStepped) ? STEPS : TAKEN;
}

const optimizers = table(
  ['method', ...OPTIMIZER_NAMES],
  matrix.methods.map((method) => [
    method.name,
    ...OPTIMIZER_NAMES.map((name) => (rowsOf(method).some((row) => row.optimizer.type === name) ? TESTED : TAKEN)),
  ]),
);
const reasons = new Set<string>();
const exported = table(
  ['method', ...FORMATS],
  matrix.methods.map((method) => {
    const config = configOf(method);
    const cells = FORMATS.map((format) => {
      const reason = methodRow(config).withoutExport(config, format);
      if (reason === null) return TESTED;
      reasons.add(`\`${method.name}\`, ${format}: ${reason}`);
      return 'refused';
    });
    return [method.name, ...cells];
  }),
);

const page = `# What is tested together

Written by \`npm run coverage\` from \`scripts/golden/matrix.json\` and the rows of \`packages/contract/src/methods\`; \`npm run verify\` says when it
is no longer true.

- ${TESTED}: the suite holds it against PyTorch (logits, every gradient, ten steps; \`packages/lm/test/golden.test.ts\`), or, of exports, writes it,
  reads it back and compares (\`packages/lm/test/export.test.ts\`, \`methods.test.ts\`).
- **gradients**: of a step that XLA compiles for seconds, the suite holds loss and every gradient.
- ${STEPS}: \`npm run test:xla\`, outside the suite, holds ten steps against PyTorch.
- ${TAKEN}: a run may ask for it. A method works on one linear layer at a time and does not know the family; the method and the family are tested,
  not this pair.
- refused: a run that asks for it is told why.
- planned: not there; a base of such a family is refused at registration.

## Methods and families

${families}

## Methods and modes

${modes}

## Methods and optimisers

${optimizers}

## Methods and exports

${exported}

${[...reasons].map((reason) => `- ${reason}`).join('\n')}
`;

if (process.argv.includes('--check')) {
  let written = '';
  try {
    written = readFileSync(file, 'utf8');
  } catch {
    // There is none yet.
  }
  if (written !== page) process.stderr.write('docs/coverage.md is not what `npm run coverage` would write.\n');
  process.exitCode = written === page ? 0 : 1;
} else writeFileSync(file, page);
