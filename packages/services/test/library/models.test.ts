import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Actor, createBase, createBaseFromDir, getModel, listModels, type Services } from '../../src/index.js';
import {
  checkpointModelName,
  fineTunedModelName,
  parseFineTunedModelName,
} from '../../src/library/fine-tuned-model-name.js';
import { requireBase } from '../../src/library/require-base.js';
import { defaultActor, otherActor, tinyFiles, uploadOf, writeFolder } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
beforeAll(async () => {
  actor = await defaultActor(s);
});

const register = async (name: string, extra: Record<string, string> = {}, caller = actor) =>
  createBase(s, caller, { name, upload: await uploadOf(s, { ...tinyFiles(), ...extra }) });

describe('the name of a fine-tuned model', () => {
  const run = { runId: 'ftjob-0123456789abcdefghijklmn', baseName: 'tiny', projectName: 'default', suffix: null };

  test('has base, project, suffix and the end of the run id', () => {
    expect(fineTunedModelName(run)).toBe('ft:tiny:default::ghijklmn');
    expect(fineTunedModelName({ ...run, suffix: 'sums' })).toBe('ft:tiny:default:sums:ghijklmn');
  });

  test('is read back to the end of the run id and the step', () => {
    const name = fineTunedModelName({ ...run, suffix: 'sums' });
    expect(parseFineTunedModelName(name)).toEqual({ runIdEnd: 'ghijklmn', step: null });
    expect(parseFineTunedModelName(checkpointModelName(name, 120))).toEqual({ runIdEnd: 'ghijklmn', step: 120 });
  });

  test.each([
    'tiny',
    'ft:tiny',
    'ft:tiny:default::short',
    'ft::default::ghijklmn',
    'ft:a:b:c:ghijklmn:ckpt-step-',
    'ft:a:b:c:GHIJKLMN',
  ])('%s is none', (name) => {
    expect(parseFineTunedModelName(name)).toBeNull();
  });

  test('keeps of a suffix the letters that need no quoting, without a colon', () => {
    const named = { runId: 'ftjob-abcdefghijklmn', baseName: 'tiny', projectName: 'default' };
    const name = fineTunedModelName({ ...named, suffix: 'a:b c/d_e.f-g Ü' });
    expect(name).toBe('ft:tiny:default:a-b-c-d_e.f-g--:ghijklmn');
    expect(parseFineTunedModelName(name)?.runIdEnd).toBe('ghijklmn');
  });
});

describe('bases', () => {
  test('of one name that are registered at once become one base, and the loser leaves no bytes', async () => {
    const tries = await Promise.allSettled([1, 2, 3, 4].map((i) => register('raced', { 'README.md': `${i}` })));
    expect(tries.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
    for (const one of tries) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'conflict' });
    const rows = await s.db.base.findMany({ where: { name: 'raced' } });
    expect(rows).toHaveLength(1);
    const folders = (await s.blobs.list('bases')).map(({ path }) => path.split('/')[0]);
    expect([...new Set(folders)]).toEqual(rows.map(({ id }) => id));
  });

  test('that are deleted are found no more, and give their name back', async () => {
    await register('again');
    await s.db.base.updateMany({ where: { name: 'again' }, data: { deletedAt: new Date() } });
    await expect(getModel(s, actor, 'again')).rejects.toMatchObject({ code: 'not_found', param: 'model' });
    expect((await listModels(s, actor)).data.map(({ id }) => id)).not.toContain('again');
    expect(await register('again', { 'README.md': 'other' })).toMatchObject({ id: 'again' });
  });

  test('take each file once', async () => {
    const upload = await uploadOf(s, tinyFiles());
    const [config] = upload.files;
    if (config) upload.files.push(config);
    await expect(createBase(s, actor, { name: 'twice', upload })).rejects.toMatchObject({
      code: 'invalid_base',
      message: expect.stringContaining(`two files named ${config?.filename}`),
    });
  });

  test.each(['a', '7B', 'x'.repeat(96), 'Llama-3.1_8B.v2'])('may be called %s', async (name) => {
    expect((await register(name)).id).toBe(name);
  });

  test('of a folder that is not there leave nothing behind', async () => {
    await expect(createBaseFromDir(s, actor, { name: 'nowhere', dir: '/nowhere' })).rejects.toThrow(/ENOENT/);
    const dir = await writeFolder({ 'config.json': '{}' });
    await expect(createBaseFromDir(s, actor, { name: 'half', dir })).rejects.toMatchObject({
      code: 'invalid_base',
    });
    expect(await s.db.base.count({ where: { name: { in: ['nowhere', 'half'] } } })).toBe(0);
  });
});

describe('a base that a run asks for', () => {
  test('that does not exist is refused with the nearest name', async () => {
    await register('granite');
    await expect(requireBase(s, actor, 'granit')).rejects.toMatchObject({
      code: 'not_found',
      hint: "Did you mean 'granite'?",
    });
    await expect(requireBase(s, actor, 'zzzzzzzzzzzz')).rejects.toMatchObject({
      hint: expect.stringContaining('granite'),
    });
  });

  test('in a project without any is refused with how to add one, and names none of another project', async () => {
    const stranger = await otherActor(s);
    await expect(requireBase(s, stranger, 'granit')).rejects.toMatchObject({
      code: 'not_found',
      hint: 'None is registered: npx moraine models add NAME DIR.',
    });
  });

  test('cannot be a fine-tuned model; its own base is named', async () => {
    await expect(requireBase(s, actor, 'ft:granite:default::abcdefgh')).rejects.toMatchObject({
      code: 'invalid_value',
      hint: expect.stringContaining("'granite'"),
    });
  });
});

test('models are listed by name, whatever order they came in', async () => {
  for (const name of ['c-last', 'a-first', 'b-middle']) await register(name);
  const names = (await listModels(s, actor)).data.map(({ id }) => id).filter((id) => /^[abc]-/.test(id));
  expect(names).toEqual(['a-first', 'b-middle', 'c-last']);
});
