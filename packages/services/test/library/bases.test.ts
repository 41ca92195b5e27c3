import { smallTokenizer, testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  createBase,
  createBaseFromDir,
  discardUpload,
  getModel,
  listModels,
  type Services,
} from '../../src/index.js';
import { storedTokenizerTexts } from '../../src/library/tokenizer-texts.js';
import {
  defaultActor,
  layOut,
  type RawTensor,
  safetensors,
  TINY_CONFIG,
  TINY_SHAPES,
  tinyFiles,
  uploadOf,
  writeFolder,
} from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
beforeAll(async () => {
  actor = await defaultActor(s);
});

type Files = Record<string, Buffer | string>;

async function register(name: string, files: Files) {
  const upload = await uploadOf(s, files);
  try {
    return await createBase(s, actor, { name, upload });
  } finally {
    await discardUpload(s, upload);
  }
}

/** The tiny base with another model.safetensors. */
const withTensors = (tensors: Record<string, RawTensor>, extraBytes = 0): Files => ({
  ...tinyFiles(),
  'model.safetensors': safetensors(tensors, extraBytes),
});

test('nothing is left of a base whose files could not all be moved', async () => {
  let moved = 0;
  const move = async (from: string, to: string): Promise<void> => {
    moved += 1;
    if (moved === 3) throw new Error('the disk is full');
    await s.blobs.move(from, to);
  };
  const before = await s.blobs.list('bases');
  const broken = { ...s, blobs: { ...s.blobs, move } };
  const upload = await uploadOf(s, tinyFiles());
  await expect(createBase(broken, actor, { name: 'half', upload })).rejects.toThrow('the disk is full');
  await discardUpload(s, upload);
  expect(await s.blobs.list('bases')).toEqual(before);
  expect((await listModels(s, actor)).data.map(({ id }) => id)).not.toContain('half');
});

test('a Hugging Face folder becomes a model with its parameters and context, and its files are kept whole', async () => {
  const extra = { 'README.md': '# tiny', 'tokenizer.model': 'sentencepiece', '.gitattributes': 'x' };
  const dir = await writeFolder({ ...tinyFiles(), ...extra });
  const model = await createBaseFromDir(s, actor, { name: 'tiny', dir });
  expect(model).toMatchObject({
    id: 'tiny',
    object: 'model',
    kind: 'base',
    parent: null,
    context: 64,
    parameters: 4_432,
  });
  expect(await getModel(s, actor, 'tiny')).toEqual(model);
  expect((await listModels(s, actor)).data).toEqual([model]);
  const row = await s.db.base.findFirstOrThrow({ where: { name: 'tiny' } });
  const files = await s.blobs.list(row.blobPrefix);
  expect(files.map((file) => file.path)).toEqual([
    'README.md',
    'config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer.model',
    'tokenizer_config.json',
  ]);
  expect(await s.blobs.list('incoming')).toEqual([]);
});

test('of several that register the same files at once each gets the one base', async () => {
  const right = await Promise.all(Array.from({ length: 4 }, () => register('at-once', tinyFiles())));
  expect(right.map(({ id }) => id)).toEqual(['at-once', 'at-once', 'at-once', 'at-once']);
  expect(await s.db.base.count({ where: { name: 'at-once' } })).toBe(1);
});

test('the same files under the same name again are the same base; other files are refused', async () => {
  const first = await register('again', tinyFiles());
  expect(await register('again', tinyFiles())).toEqual(first);
  expect(await s.db.base.count({ where: { name: 'again' } })).toBe(1);
  await expect(register('again', { ...tinyFiles(), 'README.md': 'other' })).rejects.toMatchObject({
    code: 'conflict',
    param: 'name',
  });
});

test('two shards and their index make one base', async () => {
  const names = Object.keys(TINY_SHAPES);
  const half = (from: number, to?: number) =>
    safetensors(layOut(Object.fromEntries(names.slice(from, to).map((name) => [name, TINY_SHAPES[name] ?? []]))));
  const { 'model.safetensors': _, ...small } = tinyFiles();
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const weight_map = Object.fromEntries(names.map((tensor, i) => [tensor, shards[i < 5 ? 0 : 1]]));
  const model = await register('sharded', {
    ...small,
    'model-00001-of-00002.safetensors': half(0, 5),
    'model-00002-of-00002.safetensors': half(5),
    'model.safetensors.index.json': JSON.stringify({ weight_map }),
  });
  expect(model.parameters).toBe(4_432);
});

describe('refused before a row exists', () => {
  const refused: [string, Files, RegExp][] = [
    ['pickled weights', { ...tinyFiles(), 'pytorch_model.bin': 'x' }, /pytorch_model\.bin may hold pickled/],
    ['a pickled tokenizer', { ...tinyFiles(), 'vocab.pkl': 'x' }, /vocab\.pkl may hold pickled/],
    ['code', { ...tinyFiles(), 'modeling_tiny.py': 'import os' }, /modeling_tiny\.py/],
    ['a path', { ...tinyFiles(), '../config.json': '{}' }, /'\.\.\/config\.json'/],
    ['no config', { ...smallTokenizer(32), 'model.safetensors': '' }, /no config\.json/],
    ['no weights', { 'config.json': JSON.stringify(TINY_CONFIG), ...smallTokenizer(32) }, /neither model\.safetensors/],
    ['no tokenizer', { 'config.json': JSON.stringify(TINY_CONFIG), 'model.safetensors': '' }, /no tokenizer\.json/],
    ['a tokenizer that no run could load', { ...tinyFiles(), 'tokenizer.json': '{}' }, /tokenizer\.json has no model/],
    ['a vocabulary beyond the embedding', { ...tinyFiles(), ...smallTokenizer(33) }, /makes token 32/],
    ['a config that is not JSON', { ...tinyFiles(), 'config.json': '{' }, /config\.json is not JSON/],
    [
      'another family',
      {
        ...tinyFiles(),
        'config.json': JSON.stringify({ ...TINY_CONFIG, model_type: 'gpt2', architectures: ['GPT2LMHeadModel'] }),
      },
      /gpt2/,
    ],
    [
      'a tensor of another shape',
      withTensors(layOut({ ...TINY_SHAPES, 'model.layers.1.mlp.up_proj.weight': [25, 16] })),
      /up_proj\.weight is \[25, 16\].*\[24, 16\]/,
    ],
    [
      'a tensor that is missing',
      withTensors(
        layOut(Object.fromEntries(Object.entries(TINY_SHAPES).filter(([name]) => !name.includes('layers.1')))),
      ),
      /layers\.1\..* and 8 other tensors/,
    ],
    [
      'a tensor that the config does not have',
      withTensors(layOut({ ...TINY_SHAPES, 'model.layers.0.self_attn.q_proj.bias': [16] })),
      /q_proj\.bias/,
    ],
    ['trailing bytes', withTensors(layOut(TINY_SHAPES), 4), /4 bytes after the last tensor/],
    [
      'a cut file',
      { ...tinyFiles(), 'model.safetensors': safetensors(layOut(TINY_SHAPES)).subarray(0, -8) },
      /cut short/,
    ],
    [
      'a header longer than the file',
      {
        ...tinyFiles(),
        'model.safetensors': Buffer.concat([Buffer.from([255, 255, 255, 0, 0, 0, 0, 0]), Buffer.from('{}')]),
      },
      /header of 16777215 bytes/,
    ],
    [
      'a header that is not JSON',
      {
        ...tinyFiles(),
        'model.safetensors': Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('no')]),
      },
      /not JSON/,
    ],
  ];
  test.each(refused)('%s', async (_what, files, message) => {
    await expect(register('refused', files)).rejects.toMatchObject({
      code: 'invalid_base',
      message: expect.stringMatching(message),
      hint: expect.any(String),
    });
    expect(await s.db.base.count({ where: { name: 'refused' } })).toBe(0);
    expect(await s.blobs.list('incoming')).toEqual([]);
  });

  test('aliased tensors: two names over the same bytes', async () => {
    const tensors = layOut(TINY_SHAPES);
    const gate = tensors['model.layers.1.mlp.gate_proj.weight'];
    const up = tensors['model.layers.1.mlp.up_proj.weight'];
    const down = tensors['model.layers.1.mlp.down_proj.weight'];
    if (!gate || !up || !down) throw new Error('the tiny base has these');
    down.data_offsets = [up.data_offsets[0], up.data_offsets[1]];
    up.data_offsets = [...gate.data_offsets];
    await expect(register('aliased', withTensors(tensors))).rejects.toMatchObject({
      code: 'invalid_base',
      message: expect.stringMatching(/up_proj\.weight overlaps/),
    });
  });

  test('integers where weights belong', async () => {
    const tensors = layOut(TINY_SHAPES);
    const norm = tensors['model.norm.weight'];
    if (norm) norm.dtype = 'I32';
    await expect(register('integers', withTensors(tensors))).rejects.toMatchObject({
      message: expect.stringContaining('I32'),
    });
  });

  test('names that a path or a model id could be mistaken for', async () => {
    for (const name of ['', '.hidden', 'a/b', 'ft:x', 'a b', 'x'.repeat(97)]) {
      await expect(register(name, tinyFiles())).rejects.toMatchObject({ code: 'invalid_value', param: 'name' });
    }
  });
});

test('an unknown model is not found, whatever its name looks like', async () => {
  for (const name of [
    'nothing',
    'ft:tiny:default::abcdefgh',
    'ft:tiny:default::abcdefgh:ckpt-step-3',
    'ft:::::',
    '../tiny',
  ]) {
    await expect(getModel(s, actor, name)).rejects.toMatchObject({ code: 'not_found', param: 'model' });
  }
});

describe('a chat template', () => {
  const withTemplate = (source: string): Files => ({
    ...tinyFiles(),
    'tokenizer_config.json': JSON.stringify({ eos_token: '</s>', chat_template: source }),
  });

  test('that could not be rendered in a run is refused with the construct', async () => {
    const cases = [
      ['{{ messages | wordwrap(9) }}', "the filter 'wordwrap'"],
      ['{% for m in messages %}{{ range.name }}{% endfor %}', "the attribute 'name'"],
      ['{% include "other" %}', 'include'],
    ] as const;
    for (const [source, want] of cases) {
      await expect(register('odd-template', withTemplate(source))).rejects.toMatchObject({
        code: 'invalid_base',
        param: 'chat_template',
        message: expect.stringContaining(want),
      });
    }
    const files = { ...tinyFiles(), 'chat_template.jinja': '{{ cycler(1) }}' };
    await expect(register('odd-template', files)).rejects.toThrow("the function 'cycler'");
  });

  const TOOLS = 'additional_chat_templates/tool_use.jinja';

  test('for tools is checked and kept in its folder, from a folder and from an upload', async () => {
    const files = { ...tinyFiles(), 'chat_template.jinja': 'a', [TOOLS]: '{{ tools }}' };
    const dir = await writeFolder(files);
    await createBaseFromDir(s, actor, { name: 'tools-of-folder', dir });
    await register('tools-of-upload', files);
    for (const name of ['tools-of-folder', 'tools-of-upload']) {
      const { blobPrefix } = await s.db.base.findFirstOrThrow({ where: { name } });
      const paths = (await s.blobs.list(blobPrefix)).map(({ path }) => path);
      expect(paths).toEqual(expect.arrayContaining([TOOLS, 'chat_template.jinja']));
      expect(await storedTokenizerTexts(s, { blobPrefix })).toMatchObject({ [TOOLS]: '{{ tools }}' });
    }
    await expect(register('odd-tools', { ...files, [TOOLS]: '{{ cycler(1) }}' })).rejects.toThrow("function 'cycler'");
    for (const name of ['additional_chat_templates/../x.jinja', 'other/x.jinja', 'additional_chat_templates/x.py'])
      await expect(register('odd-tools', { ...files, [name]: 'x' })).rejects.toMatchObject({ param: 'files' });
  });

  test('that formats as Python does, or refuses roles, is taken', async () => {
    const formats = "{% for m in messages %}{{ '%s: %s' % (m.role, m.content) }}{{ eos_token }}{% endfor %}";
    expect(await register('formats', withTemplate(formats))).toMatchObject({ id: 'formats' });
    const refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}";
    expect(await register('refuses', withTemplate(refuses))).toMatchObject({ id: 'refuses' });
  });
});
