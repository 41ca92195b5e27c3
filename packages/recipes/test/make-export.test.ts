// Expected numbers: the merged weights are W0 + λ(W − W0), a truncated update misses the singular values left out.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExportOrder, MethodConfig } from '@moraine/contract';
import { parseModelConfig } from '@moraine/contract/plan';
import { readSafetensors, writeSafetensors } from '@moraine/engine';
import { initialWeights } from '@moraine/lm';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeFolder } from '../src/export/files.js';
import {
  answerPrompts,
  exportedTokenizer,
  loadBase,
  makeExport,
  readAdapter,
  scoreFile,
  writeExport,
} from '../src/index.js';
import { METHODS, ofType, runOf, specOf, tinyTargets, writeSums, writeTinyBase } from './tiny-base.js';

const base = writeTinyBase();
const sums = writeSums(base, 'sums.jsonl', 12);
const dora: MethodConfig = {
  type: 'dora',
  rank: 4,
  alpha: 8,
  use_rslora: false,
  dropout: 0,
  target_modules: tinyTargets,
};
const remora: MethodConfig = {
  type: 'mora',
  rank: 4,
  mora_type: 1,
  dropout: 0,
  target_modules: tinyTargets,
  restart: { every: 2, warmup: 1 },
};
const trained: Record<string, MethodConfig> = { ...METHODS, dora, remora };

/** Folders that a run of the method left, by kind. */
const results = new Map<string, Map<string, string>>();
beforeAll(async () => {
  for (const [name, method] of Object.entries(trained)) {
    const spec = specOf(base, sums, method);
    spec.config.steps = 4;
    const exports = ofType(await runOf(spec), 'finished')[0]?.exports ?? [];
    results.set(name, new Map(exports.map(({ kind, dir }) => [kind, dir ?? ''])));
  }
});

const folderOf = (name: string, kind = name === 'full' ? 'merged' : 'adapter'): string =>
  results.get(name)?.get(kind) ?? '';
const order = (name: string, more: Partial<ExportOrder>): ExportOrder => ({
  baseDir: base,
  baseName: 'tiny',
  resultDir: folderOf(name),
  format: 'merged',
  lambda: 1,
  ...more,
});
const newFolder = (): string => join(mkdtempSync(join(tmpdir(), 'moraine-export-')), 'out');
const weights = (dir: string) => readSafetensors(join(dir, 'model.safetensors')).tensors;
/** What an export is as bytes, without a folder. */
const bytesOf = (made: ExportOrder): Map<string, Buffer> =>
  new Map(
    makeExport(made).map(({ name, open }) => {
      const { sizeBytes, pieces } = open();
      const bytes = Buffer.concat([...pieces]);
      expect(bytes.length).toBe(sizeBytes);
      return [name, bytes];
    }),
  );

describe('a merged model that is made when it is asked for', () => {
  it.each(Object.keys(trained))('of %s is, byte for byte, the one that the run wrote', (name) => {
    const made = bytesOf(order(name, {}));
    for (const file of readdirSync(folderOf(name, 'merged')))
      if (file !== 'export.json' && file !== 'README.md')
        expect(made.get(file)?.equals(readFileSync(join(folderOf(name, 'merged'), file))), file).toBe(true);
    expect(JSON.parse(String(made.get('export.json')))).toMatchObject({ format: 'merged', lambda: 1, base: 'tiny' });
  });

  it('has all chat templates of its base, each in its place', () => {
    const from = mkdtempSync(join(tmpdir(), 'moraine-base-'));
    cpSync(base, from, { recursive: true });
    const templates = {
      'chat_template.jinja': 'a',
      'additional_chat_templates/tool_use.jinja': 'b',
      'additional_chat_templates/rag.jinja': 'c',
    };
    mkdirSync(join(from, 'additional_chat_templates'));
    for (const [name, text] of Object.entries(templates)) writeFileSync(join(from, name), text);
    const out = newFolder();
    writeFolder(out, makeExport(order('lora', { baseDir: from })));
    for (const [name, text] of Object.entries(templates)) expect(readFileSync(join(out, name), 'utf8')).toBe(text);
  });

  it.each(Object.keys(trained))('of %s at lambda 0 has the weights of the base, bit for bit', (name) => {
    const out = newFolder();
    writeFolder(out, makeExport(order(name, { lambda: 0 })));
    const [before, after] = [weights(base), weights(out)];
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [key, { data }] of before) expect(after.get(key)?.data, key).toEqual(data);
  });

  it.each(Object.keys(trained))('of %s at lambda 0.5 lies in the middle', async (name) => {
    const out = newFolder();
    await writeExport(out, order(name, { lambda: 0.5 }));
    const [before, whole, half] = [weights(base), weights(folderOf(name, 'merged')), weights(out)];
    for (const [key, { data }] of half)
      for (const [i, value] of (data as Float32Array).entries())
        expect(value).toBeCloseTo((Number(before.get(key)?.data[i]) + Number(whole.get(key)?.data[i])) / 2, 5);
  });
});

describe('a GGUF', () => {
  it('is the merged model at a share of the update, one weight at a time', async () => {
    const asked = order('lora', { format: 'gguf', lambda: 0.5 });
    const out = newFolder();
    const { facts, sentences } = await writeExport(out, asked);
    expect(facts.report.parity?.top1_agreement).toBeGreaterThan(0.9);
    expect(sentences.join()).toMatch(/Its matrices in float16, not the file read back, were compared/);
    const file = readFileSync(join(out, 'model-f16.gguf'));
    const [first] = makeExport(asked, await exportedTokenizer(asked));
    expect(Buffer.concat([...(first?.open().pieces ?? [])]).equals(file)).toBe(true);
    // The last tensor of the file is the final norm, which no update changes; the one before it is a matrix that does.
    await writeExport(out, order('lora', { format: 'gguf', lambda: 0 }));
    const atZero = readFileSync(join(out, 'model-f16.gguf'));
    expect(atZero.length).toBe(file.length);
    expect(atZero.equals(file)).toBe(false);
  });
});

describe('an adapter at a share of its update', () => {
  it.each(['lora', 'mora type 1', 'mora type 6', 'remora'])(
    'of %s is stored in its form, and is read back as that share',
    async (name) => {
      const out = newFolder();
      const { facts, sentences } = await writeExport(out, order(name, { format: 'native', lambda: 0.25 }));
      expect(facts.report.parity?.max_logit_difference).toBeLessThan(1e-5);
      expect(sentences).toContain('The update is applied by the share lambda = 0.25.');
      const ask = (adapterDir: string, lambda: number) =>
        scoreFile({ baseDir: base, adapterDir, lambda, file: sums, mode: 'eager' });
      const [stored, scored] = [await ask(out, 1), await ask(folderOf(name), 0.25)];
      expect(stored.natsPerToken).toBeCloseTo(scored.natsPerToken, 6);
      expect(Math.abs((await ask(folderOf(name), 1)).natsPerToken - scored.natsPerToken)).toBeGreaterThan(1e-4);
    },
  );

  it('of DoRA is merged, and refused in its form with the reason', async () => {
    expect(() => makeExport(order('dora', { format: 'native', lambda: 0.5 }))).toThrow(
      expect.objectContaining({ code: 'unsupported_format', param: 'lambda' }),
    );
    const [none, part, all] = await Promise.all(
      [0, 0.5, 1].map((lambda) =>
        scoreFile({ baseDir: base, adapterDir: folderOf('dora'), lambda, file: sums, mode: 'eager' }),
      ),
    );
    const alone = await scoreFile({ baseDir: base, adapterDir: null, file: sums, mode: 'eager' });
    expect(none?.natsPerToken).toBe(alone.natsPerToken);
    expect(part?.natsPerToken).toBeLessThan(alone.natsPerToken);
    expect(part?.natsPerToken).toBeGreaterThan(all?.natsPerToken ?? Number.NaN);
  });

  it('answers prompts by it: at 0 as the base does', async () => {
    const ask = (adapterDir: string | null, lambda?: number) =>
      answerPrompts({
        ...{ baseDir: base, adapterDir, prompts: ['3+2='], mode: 'eager', maxNewTokens: 4, temperature: 0 },
        ...{ topP: 1, topK: 0, seed: 0, stop: [], isRaw: true },
        ...(lambda === undefined ? {} : { lambda }),
      }).then(({ answers }) => answers[0]?.text);
    expect(await ask(folderOf('lora'), 0)).toBe(await ask(null));
  });

  it('has no form in PEFT’s layout where the method has none', () => {
    expect(() => makeExport(order('mora type 6', { format: 'peft' }))).toThrow(
      expect.objectContaining({ code: 'unsupported_format', param: 'format' }),
    );
    expect(() => makeExport(order('full', { format: 'native' }))).toThrow(/no adapter beside it/);
  });
});

describe('an update as a LoRA of a rank', () => {
  it.each(['lora', 'dora', 'mora type 1', 'mora type 6', 'remora'])(
    'of %s misses nothing at the rank of the layers',
    async (name) => {
      const out = newFolder();
      const { facts } = await writeExport(out, order(name, { format: 'lora', rank: 32 }));
      expect(facts.error?.total).toBeLessThan(1e-4);
      expect((facts.report.parity?.max_logit_difference ?? 1) / (facts.report.parity?.max_logit ?? 1)).toBeLessThan(
        1e-4,
      );
      const { adapter } = readAdapter(out, loadBase(base).config);
      expect([...adapter.paths].sort()).toEqual([...tinyTargets].sort());
      expect(JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8'))).toMatchObject({
        r: 32,
        lora_alpha: 32,
      });
    },
  );

  it('of full fine-tuning has the weights that are no linear layers whole beside it', async () => {
    const out = newFolder();
    const { facts } = await writeExport(out, order('full', { format: 'lora', rank: 32 }));
    expect((facts.report.parity?.max_logit_difference ?? 1) / (facts.report.parity?.max_logit ?? 1)).toBeLessThan(1e-4);
    const { modules_to_save: whole } = JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8'));
    expect(whole).toContain('model.embed_tokens');
    expect(facts.report.notes.join()).toMatch(/vLLM refuses modules that are trained whole/);
  });

  it('that misses too much is refused with the figures, unless that is allowed', async () => {
    const small = order('mora type 6', { format: 'lora', rank: 1 });
    expect(() => makeExport(small)).toThrow(
      expect.objectContaining({
        code: 'unsupported_format',
        param: 'rank',
        message: expect.stringMatching(
          /rank 1 misses \d+(\.\d+)? % of the update, more than 5\.00 %; the worst layer is model\.layers\./,
        ),
      }),
    );
    const out = newFolder();
    const { facts, sentences } = await writeExport(out, { ...small, maxError: 1 });
    expect(facts.error?.total).toBeGreaterThan(0.05);
    expect(facts.error?.worst).toBeGreaterThanOrEqual(facts.error?.total ?? 1);
    expect(sentences.join()).toContain('in the worst layer');
    expect(JSON.parse(readFileSync(join(out, 'export.json'), 'utf8')).error).toEqual(facts.error);
  });

  it('needs a rank, and other formats take none', () => {
    expect(() => makeExport(order('lora', { format: 'lora' }))).toThrow(expect.objectContaining({ param: 'rank' }));
    expect(() => makeExport(order('lora', { rank: 4 }))).toThrow(/'rank' has no meaning for format 'merged'/);
    expect(() => makeExport(order('lora', { maxError: 0.5 }))).toThrow(/'allow_error' has no meaning/);
  });
});

it('a result that is none, or of another base, is refused, and nothing is left', async () => {
  const out = newFolder();
  const nothing = mkdtempSync(join(tmpdir(), 'moraine-none-'));
  await expect(writeExport(out, order('lora', { resultDir: nothing }))).rejects.toThrow(/holds no adapter/);
  const wider = writeTinyBase();
  const config = JSON.parse(readFileSync(join(wider, 'config.json'), 'utf8'));
  const shape = parseModelConfig({ ...config, intermediate_size: 48 });
  writeFileSync(join(wider, 'config.json'), JSON.stringify({ ...config, intermediate_size: 48 }));
  writeSafetensors(join(wider, 'model.safetensors'), initialWeights(shape, { seed: 3, std: 0.1 }));
  await expect(writeExport(out, order('full', { resultDir: wider }))).rejects.toThrow(/another shape than the base/);
  await expect(writeExport(out, order('lora', { baseDir: wider }))).rejects.toThrow(/this base needs/);
  expect(existsSync(out)).toBe(false);
});
