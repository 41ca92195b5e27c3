import { expect, test } from 'vitest';
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

test('a head without end is not kept, nor searched again and again', () => {
  const frame = new FormFrame('multipart/form-data; boundary=b');
  frame.see(Buffer.from(`--b\r\n${'filename*=*=x; name="'.repeat(7_000)}`));
  expect(frame.fault).toMatchObject({ code: 'invalid_request' });
  const long = new FormFrame('multipart/form-data; boundary=b');
  const before = performance.now();
  long.see(Buffer.from(`--b\r\n${'; filename*=*=x\'; name="'.repeat(5_000)}\r\n\r\n`));
  expect(performance.now() - before).toBeLessThan(1_000);
});
