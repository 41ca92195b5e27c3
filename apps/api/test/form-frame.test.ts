import { expect, test, vi } from 'vitest';
import { FormFrame } from '../src/routes/form-frame.js';

const seen = (form: string, pieceBytes: number, contentType = 'multipart/form-data; boundary=b') => {
  const frame = new FormFrame(contentType);
  const bytes = Buffer.from(form, 'latin1');
  for (let at = 0; at < bytes.length; at += pieceBytes) frame.see(bytes.subarray(at, at + pieceBytes));
  return frame.fault === null ? 'good' : frame.fault.param;
};

const FIELD = 'content-disposition: form-data; name="f"';
const FILE = `${FIELD}; filename="a"`;

test.each<[what: string, form: string, found: string]>([
  ['of nothing', '--b--', 'good'],
  ['with text before and behind it', `\xff\r\n--b\r\n${FIELD}\r\n\r\nx\r\n--b--\r\n\xff`, 'good'],
  ['whose file has any bytes', `--b\r\n${FILE}\r\n\r\n\xff\r\n--\xff\r\n--b--`, 'good'],
  [
    'with bytes without a name',
    `--b\r\n${FIELD}\r\ncontent-type: application/octet-stream\r\n\r\n\xff\r\n--b--`,
    'good',
  ],
  [
    'whose value says its encoding',
    `--b\r\n${FIELD}\r\ncontent-type: text/plain; charset=latin1\r\n\r\n\xff\r\n--b--`,
    'good',
  ],
  ['with a letter in its value', `--b\r\n${FIELD}\r\n\r\n\xe6\xbc\xa2\r\n--b--`, 'good'],
  ['with empty parts', `--b\r\n\r\n--b\r\n${FILE}\r\n\r\n--b\r\n${FIELD}\r\n\r\n\r\n--b--`, 'good'],
  ['whose head is cut by a boundary', `--b\r\n${FILE}\r\n--b\r\n${FIELD}\r\n\r\n\xff\r\n--b--`, 'f'],
  ['with a broken value behind a file', `--b\r\n${FILE}\r\n\r\n\xff\r\n--b\r\n${FIELD}\r\n\r\n\xc3\r\n--b--`, 'f'],
  ['with a broken name', `--b\r\n${FILE.replace('"a"', '"\xff"')}\r\n\r\n\r\n--b--`, 'f'],
])('a form %s is seen alike in pieces of any size', (_what, form, found) => {
  for (const pieceBytes of [1, 2, 3, 5, 7, 1_000]) expect(seen(form, pieceBytes), `${pieceBytes}`).toBe(found);
});

test.each([
  ['multipart/form-data; boundary="b c"', 'b c'],
  ['multipart/form-data;charset=utf-8;Boundary = b', 'b'],
])('the boundary is read from %s', (contentType, boundary) => {
  const form = (value: string) => `--${boundary}\r\n${FIELD}\r\n\r\n${value}\r\n--${boundary}--`;
  expect([seen(form('x'), 1, contentType), seen(form('\xc3'), 1, contentType)]).toEqual(['good', 'f']);
});

test.each([
  ['in quotation marks is a name', `filename="a*='x'%ff.jsonl"`, 'good'],
  ['behind an escaped mark is a name', String.raw`filename="\"*='x'%ff.jsonl"`, 'good'],
  ['in a folded text is a name', `filename="a\r\n *='x'%ff.jsonl"`, 'good'],
  ['behind a text is a parameter', `filename="a"; filename*=utf-8''%ff`, 'f'],
  ['behind an open mark of another line is a parameter', `x="\r\nx: y; filename*=utf-8''%ff`, 'f'],
])('what looks like an extended parameter %s', (_what, rest, found) => {
  for (const pieceBytes of [1, 1_000])
    expect(seen(`--b\r\n${FIELD}; ${rest}\r\n\r\n\r\n--b--`, pieceBytes)).toBe(found);
});

test('a head is at most 16 kB long, in pieces of any size', () => {
  const headed = (bytes: number) => `--b\r\n${FIELD}; x="${'y'.repeat(bytes)}"\r\n\r\n\r\n--b--`;
  for (const pieceBytes of [1, 1_000, 100_000]) {
    expect(seen(headed(16_000), pieceBytes)).toBe('good');
    expect(seen(headed(16_400), pieceBytes)).toBeNull();
  }
});

test('a head in small pieces is not copied again and again', () => {
  const concat = vi.spyOn(Buffer, 'concat');
  expect(seen(`--b\r\n${FIELD}; x="${'y'.repeat(16_000)}"\r\n\r\n\r\n--b--`, 1)).toBe('good');
  const copied = concat.mock.calls.flatMap(([pieces]) => pieces).reduce((sum, piece) => sum + piece.length, 0);
  concat.mockRestore();
  expect(copied).toBeLessThan(200_000);
});

test.each(['filename*=*=x; name="', '; filename*=*=x\'; name="', '\\"', '"', "*='", '"\\'])(
  'a head of %j over and over is read in no time',
  (text) => {
    const form = `--b\r\n${text.repeat(16_000 / text.length)}\r\n\r\n`;
    const before = performance.now();
    seen(form, form.length);
    expect(performance.now() - before).toBeLessThan(1_000);
  },
);

test('many heads are each at most so long', () => {
  const part = `--b\r\n${FIELD}; x="${'y'.repeat(10_000)}"\r\n\r\nz\r\n`;
  for (const pieceBytes of [7, 100_000]) expect(seen(`${part.repeat(4)}--b--`, pieceBytes)).toBe('good');
});
