/**
 * `npm run test:tokenizers [-- --count N] [-- --seed N]`: the ids of our tokenizer and of Hugging Face's, on texts of the data beside the
 * checkout and on generated ones (default 2,000 each), for every tokenizer there and every shape in fixtures/; and for as many generated
 * tokenizers as a quarter of that, each on ten texts. `-- --write` makes the shapes, their ids and the variants of the suite anew. See
 * README.md.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { openTokenizer, type TextTokenizer } from '../../packages/data/src/tokenizer.js';
import { referencePython } from '../peft/environment.js';
import { dataTexts, generatedTexts } from './texts.js';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
  },
});
const here = import.meta.dirname;
const data = resolve(here, '../../../shared/data');
const script = join(here, 'reference.py');

/** Our tokenizer of a tokenizer.json alone; what ends an answer does not matter here. */
function load(json: string): Promise<TextTokenizer> {
  const { model, added_tokens } = JSON.parse(json);
  const [first] = Array.isArray(model.vocab) ? model.vocab[0] : Object.keys(model.vocab);
  const eos_token = added_tokens?.[0]?.content ?? first;
  const files: Record<string, string> = {
    'tokenizer.json': json,
    'tokenizer_config.json': JSON.stringify({ eos_token }),
  };
  return openTokenizer(async (name) => files[name] ?? null);
}

async function* referenceIds(file: string, texts: readonly string[]): AsyncGenerator<string> {
  const child = spawn(referencePython(), ['-B', script, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(texts.map((text) => `${JSON.stringify(text)}\n`).join(''));
  yield* createInterface({ input: child.stdout });
}

const SHOWN_MOST = 5;

const show = (text: string, theirs: string, ours: string): void => {
  process.stdout.write(`  ${JSON.stringify(text).slice(0, 300)}\n    theirs ${theirs}\n    ours   ${ours}\n`);
};

/** Tokenizers of any parts, with Hugging Face's ids of some texts each; its own panics over others are no news. */
function makeVariants(seed: string, count: number): string {
  const made = spawnSync(referencePython(), ['-B', join(here, 'variants.py'), seed, String(count)], {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  });
  if (made.status !== 0) throw new Error(`variants.py ended with ${made.status}: ${made.stderr.slice(-2_000)}`);
  return made.stdout;
}

/** As `compare`, of generated tokenizers. */
async function compareVariants(seed: string, count: number): Promise<number> {
  let different = 0;
  let total = 0;
  for (const { texts, ...parts } of JSON.parse(makeVariants(seed, count))) {
    const json = JSON.stringify(parts);
    const tokenizer = await load(json);
    for (const [text, ids] of texts) {
      total += 1;
      const ours = tokenizer.encode(text).join(' ');
      if (ours === ids.join(' ')) continue;
      different += 1;
      if (different > SHOWN_MOST) continue;
      process.stdout.write(`${json}\n`);
      show(text, ids.join(' '), ours);
    }
  }
  process.stdout.write(`variants of seed ${seed}: ${total - different} of ${total} texts the same\n`);
  return different;
}

/** Says which texts differ; returns how many. */
async function compare(file: string, texts: readonly string[]): Promise<number> {
  const tokenizer = await load(readFileSync(file, 'utf8'));
  let at = 0;
  let different = 0;
  for await (const line of referenceIds(file, texts)) {
    const text = texts[at++] ?? '';
    const ours = tokenizer.encode(text).join(' ');
    if (ours === line) continue;
    different += 1;
    if (different <= SHOWN_MOST) show(text, line, ours);
  }
  if (at !== texts.length) throw new Error(`the reference of ${file} ended after ${at} texts`);
  process.stdout.write(`${name(file)}: ${texts.length - different} of ${texts.length} texts the same\n`);
  return different;
}

const name = (file: string): string =>
  basename(file) === 'tokenizer.json' ? basename(dirname(file)) : basename(file, '.json');

/** Every tokenizer.json of the data folder; Qwen's is made of its vocabulary and merges. */
function dataTokenizers(scratch: string): string[] {
  if (!existsSync(data)) {
    process.stdout.write(`absent: ${data}; the shapes alone are compared\n`);
    return [];
  }
  const qwen = join(scratch, 'qwen2.5.json');
  const made = spawnSync(referencePython(), ['-B', script, '--qwen2', join(data, 'tokenizers/qwen2.5'), qwen], {
    stdio: 'inherit',
  });
  const folders = ['tokenizers', 'models'].flatMap((kind) =>
    readdirSync(join(data, kind)).map((one) => join(data, kind, one)),
  );
  const files = folders.map((folder) => join(folder, 'tokenizer.json')).filter((file) => existsSync(file));
  return made.status === 0 ? [...files, qwen] : files;
}

async function main(): Promise<number> {
  if (values.write) {
    writeFileSync(join(here, 'variants.json'), makeVariants('30', 80));
    return (
      spawnSync(referencePython(), ['-B', join(here, 'shapes.py'), join(here, 'fixtures')], { stdio: 'inherit' })
        .status ?? 1
    );
  }
  const scratch = mkdtempSync(join(tmpdir(), 'moraine-tokenizers-'));
  try {
    const count = Number(values.count);
    const texts = [
      ...(existsSync(data) ? dataTexts(join(data, 'datasets'), count) : []),
      ...generatedTexts(Number(values.seed), count),
    ];
    const shapes = readdirSync(join(here, 'fixtures')).filter((file) => file !== 'ids.json');
    let different = await compareVariants(values.seed, Math.ceil(count / 4));
    for (const file of [...shapes.map((shape) => join(here, 'fixtures', shape)), ...dataTokenizers(scratch)])
      different += await compare(file, texts);
    return different === 0 ? 0 : 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

process.exitCode = await main();
