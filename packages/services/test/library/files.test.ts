import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  addToUpload,
  cancelRun,
  createBaseFromDir,
  createFile,
  createRun,
  deleteFile,
  discardUpload,
  getFile,
  getFileValidation,
  listFiles,
  openFile,
  resumeFileValidation,
  type Services,
  startReconciler,
  startUpload,
} from '../../src/index.js';
import { waitForFile } from '../../src/library/wait-for-file.js';
import { defaultActor, goodRows, tinyFiles, uploadOf, uploadRows, writeFolder } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
beforeAll(async () => {
  actor = await defaultActor(s);
});

test('a good file is processed, with its rows and format, and comes back byte by byte', async () => {
  const rows = goodRows(12);
  const file = await uploadRows(s, actor, rows);
  expect(file).toMatchObject({
    object: 'file',
    status: 'processed',
    rows: 12,
    format: 'prompt_completion',
    bytes: rows.length,
    problems: [],
    status_details: null,
  });
  expect(file.id).toMatch(/^file-[0-9a-z]{24}$/);
  const opened = await openFile(s, actor, file.id);
  expect(await text(opened.stream)).toBe(rows);
  expect(opened.sizeBytes).toBe(rows.length);
});

describe('a file that is no text, or holds what cannot be stored, gets its verdict', () => {
  const verdictOf = async (content: Buffer | string) => {
    const upload = await uploadOf(s, { 'rows.jsonl': content });
    return createFile(s, actor, { upload, purpose: 'fine-tune' });
  };
  const emoji = (length: number): string =>
    `{"prompt": "a", "completion": "b", "note": "${'x'.repeat(length)}\u{1f600} tail of a long note"}`;
  const cases: [name: string, content: Buffer | string, message: RegExp][] = [
    [
      'UTF-16 without a mark',
      Buffer.from(`${goodRows(2)}\n`, 'utf16le'),
      /^Line 1: The file is UTF-16 \(little endian\)\. /,
    ],
    ['gzip', gzipSync(goodRows(2)), /^Line 1: The file is gzip-compressed\. Decompress/],
    ['NUL bytes', `${goodRows(2)}\n${'\0'.repeat(64)}`, /^Line 3: The line holds 64 NUL bytes\. /],
    [
      'a repeated key',
      '{"prompt":"a","completion":"b","completion":"c"}',
      /^Line 1, \/completion: The key "completion" stands twice/,
    ],
    ['an emoji outside a text', '{"prompt": \u{1f600}, "completion": "x"}', /^Line 1: The line is no JSON/],
    ['an emoji at the cut', emoji(55), /^Line 1, \/note: Unknown key 'note'/],
  ];
  test.each(cases)('%s', async (_name, content, message) => {
    const file = await verdictOf(content);
    expect(file.status).toBe('error');
    expect(file.status_details).toMatch(message);
    expect(JSON.stringify(file)).not.toMatch(/\\ud[89a-f]|\\u0000/);
  });

  test('whatever the length that the emoji stands behind', async () => {
    for (let length = 50; length < 60; length += 1) {
      expect((await verdictOf(emoji(length))).status_details).toMatch(/^Line 1, \/note/);
    }
  });

  test('and NUL as JSON writes it is a letter like any other', async () => {
    expect(await verdictOf('{"prompt":"a \\u0000","completion":"b"}\n')).toMatchObject({
      status: 'processed',
      rows: 1,
    });
  });
});

describe('a bad file says what is wrong', () => {
  const bad = async (lines: string[]) => {
    const file = await uploadRows(s, actor, lines.join('\n'));
    expect(file.status).toBe('error');
    return file;
  };
  const good = '{"messages":[{"role":"user","content":"2 + 2 ="},{"role":"assistant","content":"4"}]}';

  test('a wrong role is named with its line, key, value and the role that was meant', async () => {
    const file = await bad([
      good,
      good,
      '{"messages":[{"role":"user","content":"1"},{"role":"assitant","content":"1"}]}',
    ]);
    expect(file.problems).toHaveLength(1);
    expect(file.problems[0]).toMatchObject({ line: 3, key: expect.stringMatching(/messages.*1.*role/) });
    expect(file.status_details).toContain('3');
    expect(file.status_details).toContain('assitant');
    expect(file.status_details).toMatch(/'?"?assistant/);
  });

  test('broken JSON, a missing key and an empty file each have their own problem', async () => {
    const broken = await bad([good, '{"messages": [']);
    expect(broken.problems[0]).toMatchObject({ line: 2, code: 'invalid_json' });
    const missing = await bad(['{"prompt":"1 + 1 ="}']);
    expect(missing.status_details).toContain('completion');
    const empty = await bad(['']);
    expect(empty.problems).toHaveLength(1);
  });

  test('three problems are reported in words, and the count of the others', async () => {
    const file = await bad(Array.from({ length: 9 }, () => '{"prompt":1,"completion":"x"}'));
    expect(file.problems).toHaveLength(9);
    expect(file.status_details).toContain("6 more; see 'problems'");
  });
});

test('an unknown purpose is refused with the nearest one, and an expiry outside its range with the range', async () => {
  const upload = await uploadOf(s, { 'a.jsonl': goodRows(1) });
  await expect(createFile(s, actor, { upload, purpose: 'finetune' })).rejects.toMatchObject({
    code: 'invalid_value',
    param: 'purpose',
    hint: expect.stringContaining("'fine-tune'"),
  });
  await expect(createFile(s, actor, { upload, purpose: 'fine-tune', expiresAfterSeconds: 60 })).rejects.toMatchObject({
    code: 'invalid_value',
    message: expect.stringContaining('3600'),
  });
  await discardUpload(s, upload);
});

test('an upload beyond the limit is refused and leaves nothing behind', async () => {
  const upload = startUpload();
  const big = Readable.from([Buffer.alloc(600), Buffer.alloc(600)]);
  await expect(addToUpload(s, upload, 'big.jsonl', big, { sizeBytesMax: 1_000 })).rejects.toMatchObject({
    code: 'file_too_large',
    status: 413,
  });
  expect(await s.blobs.list(upload.prefix)).toEqual([]);
  expect(await s.blobs.list('.incoming')).toEqual([]);
});

test('a file name is only a name: folders and control letters are dropped', async () => {
  const file = await uploadRows(s, actor, goodRows(1), 'fine-tune', '../../etc/pass\u0000wd.jsonl');
  expect(file.filename).toBe('passwd.jsonl');
});

test('an expired file is gone for its owner', async () => {
  const file = await createFile(s, actor, {
    upload: await uploadOf(s, { 'a.jsonl': goodRows(1) }),
    purpose: 'fine-tune',
    expiresAfterSeconds: 3_600,
  });
  expect((file.expires_at ?? 0) - file.created_at).toBe(3_600);
  await s.db.file.update({ where: { id: file.id }, data: { expiresAt: new Date(Date.now() - 1) } });
  await expect(getFile(s, actor, file.id)).rejects.toMatchObject({ code: 'not_found' });
});

test('pages in both directions hold every file once', async () => {
  for (let i = 0; i < 5; i++) await uploadRows(s, actor, goodRows(1), 'evals');
  for (const order of ['desc', 'asc'] as const) {
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await listFiles(s, actor, { purpose: 'evals', limit: 2, order, after });
      seen.push(...page.data.map((file) => file.id));
      expect(page.last_id).toBe(page.data.at(-1)?.id);
      after = page.has_more ? (page.last_id ?? undefined) : undefined;
    } while (after);
    expect(new Set(seen).size).toBe(5);
    expect(seen).toHaveLength(5);
  }
  await expect(listFiles(s, actor, { limit: 2, order: 'desc', after: 'file-nothing' })).rejects.toMatchObject({
    code: 'invalid_value',
    param: 'after',
  });
});

test('what a dead process left unvalidated is settled at the next start', async () => {
  const file = await uploadRows(s, actor, goodRows(3));
  await s.db.file.update({ where: { id: file.id }, data: { status: 'uploaded', rows: null, format: null } });
  await resumeFileValidation(s);
  expect(await getFile(s, actor, file.id)).toMatchObject({ status: 'processed', rows: 3 });
});

test('the reconciler settles files that a dead process left, however long the database was away when the API started', async () => {
  const file = await uploadRows(s, actor, goodRows(3));
  await s.db.file.update({ where: { id: file.id }, data: { status: 'uploaded', rows: null, format: null } });
  const reconciler = startReconciler(s, { intervalMs: 50 });
  await expect
    .poll(() => getFile(s, actor, file.id), { timeout: 10_000 })
    .toMatchObject({ status: 'processed', rows: 3 });
  await reconciler.close();
});

test('a file whose bytes are gone ends in error instead of waiting for ever', async () => {
  const file = await uploadRows(s, actor, goodRows(3));
  await s.blobs.remove(`files/${file.id}`);
  await s.db.file.update({ where: { id: file.id }, data: { status: 'uploaded' } });
  await resumeFileValidation(s);
  expect(await getFile(s, actor, file.id)).toMatchObject({ status: 'error' });
});

test('a file that an unfinished run needs cannot be deleted, and says which run', async () => {
  const dir = await writeFolder(tinyFiles());
  await createBaseFromDir(s, actor, { name: 'tiny', dir });
  const [training, validation, evaluated] = await Promise.all([1, 2, 3].map(() => uploadRows(s, actor, goodRows(20))));
  if (!training || !validation || !evaluated) throw new Error('three uploads');
  const run = await createRun(s, actor, {
    model: 'tiny',
    training_file: training.id,
    validation_file: validation.id,
    evaluation: { files: [evaluated.id] },
  });
  for (const file of [training, validation, evaluated]) {
    await expect(deleteFile(s, actor, file.id)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(run.id),
    });
  }
  await cancelRun(s, actor, run.id);
  for (const file of [training, validation, evaluated]) {
    expect(await deleteFile(s, actor, file.id)).toEqual({ id: file.id, object: 'file', deleted: true });
    await expect(getFile(s, actor, file.id)).rejects.toMatchObject({ code: 'not_found' });
    expect(await s.blobs.size(`files/${file.id}`)).toBeNull();
  }
});

test('a run that is created while its file is deleted has its file, or is refused', async () => {
  for (let i = 0; i < 8; i++) {
    const file = await uploadRows(s, actor, goodRows(20));
    const [run, deletion] = await Promise.allSettled([
      createRun(s, actor, { model: 'tiny', training_file: file.id }),
      deleteFile(s, actor, file.id),
    ]);
    expect([run.status, deletion.status].sort()).toEqual(['fulfilled', 'rejected']);
    if (run.status === 'fulfilled') expect(await s.blobs.size(`files/${file.id}`)).not.toBeNull();
  }
});

test('rows of a suite are good as evaluation rows and wrong as rows to train on, and nothing is trained on them', async () => {
  const rows = '{"query":"q","choices":["a","b"],"gold":0}';
  const [evals, training] = [await uploadRows(s, actor, rows, 'evals'), await uploadRows(s, actor, rows)];
  expect([evals, training]).toMatchObject([
    { status: 'processed', rows: 1, format: null },
    { status: 'error', rows: 0 },
  ]);
  const reports = [await getFileValidation(s, actor, evals.id), await getFileValidation(s, actor, training.id)];
  expect(reports.map(({ problems }) => problems.length)).toEqual([0, 1]);
  await expect(waitForFile(s, actor, evals.id, 'training_file')).rejects.toMatchObject({
    code: 'invalid_file',
    param: 'training_file',
    message: expect.stringContaining('has no training rows'),
  });
});
