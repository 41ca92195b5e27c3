import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSpool, type Spool, type SpoolLimits } from '../src/spool.js';

let dir: string;
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'moraine-spool-')), 'spool');
});
afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }));

const SMALL: Partial<SpoolLimits> = { windowItems: 7, fileBytes: 200 };
const open = (limits = SMALL): Spool<number> => openSpool<number>(dir, limits);
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const pushAll = (spool: Spool<number>, from: number, to: number): void => {
  for (const item of numbers(from, to)) spool.push(item);
};
function takeAll<T>(spool: Spool<T>, count: number): T[] {
  const taken: T[] = [];
  while (spool.size() > 0) {
    const items = spool.first(count);
    if (items.length === 0) throw new Error(`${spool.size()} items wait and none comes`);
    taken.push(...items);
    spool.drop(items.length);
  }
  return taken;
}

describe('what waits on disk', () => {
  test.each([1, 3, 7, 50])('comes out in the order it went in, %i at a time, whatever comes meanwhile', (count) => {
    const spool = open();
    const taken: number[] = [];
    for (let round = 0; round < 10; round++) {
      pushAll(spool, round * 40, round * 40 + 40);
      for (let i = 0; i < 5; i++) {
        const items = spool.first(count);
        taken.push(...items);
        spool.drop(items.length);
      }
      expect(spool.size()).toBe(round * 40 + 40 - taken.length);
    }
    expect([...taken, ...takeAll(spool, count)]).toEqual(numbers(0, 400));
  });

  test('leaves no files behind but an empty one, so that an endless run needs no endless disk', () => {
    const spool = open();
    for (let round = 0; round < 20; round++) {
      pushAll(spool, 0, 100);
      expect(readdirSync(dir).length).toBeGreaterThan(3);
      takeAll(spool, 9);
      expect([readdirSync(dir).length, spool.sizeBytes()]).toEqual([1, 0]);
    }
    spool.remove();
    expect(readdirSync(join(dir, '..'))).toEqual([]);
  });

  test('outlives its process, with what was put in at last, also values that are no numbers and text of any kind', () => {
    const first = openSpool<unknown>(dir, SMALL);
    const items = [{ a: Number.NaN, b: -0 }, 'Zeile\n\u0000', new Date(7), null, [Number.POSITIVE_INFINITY]];
    for (const item of items) first.push(item);
    // Nothing is closed: the process was killed.
    expect(takeAll(openSpool<unknown>(dir, SMALL), 2)).toEqual(items);
  });

  test('is gone on with where an earlier process left it: what was taken in a whole file is not there again', () => {
    const first = open();
    pushAll(first, 0, 200);
    first.drop(first.first(7).length);
    for (let i = 0; i < 20; i++) first.drop(first.first(7).length);
    first.close();
    const second = open();
    pushAll(second, 200, 260);
    const rest = takeAll(second, 5);
    expect(rest).toEqual(numbers(rest[0] ?? -1, 260));
    expect(rest[0]).toBeGreaterThan(100);
    expect(rest[0]).toBeLessThanOrEqual(147);
  });

  test.each([1, 4, 6])(
    'without its last item where that was cut short by %i bytes, and goes on behind the one before',
    (bytes) => {
      const first = open();
      pushAll(first, 0, 3);
      const file = join(dir, '00000001');
      truncateSync(file, first.sizeBytes() - bytes);
      const second = open();
      expect(second.size()).toBe(2);
      second.push(9);
      expect(takeAll(open(), 10)).toEqual([0, 1, 9]);
    },
  );

  test('without what is behind it in a file that grew by rubbish', () => {
    pushAll(open(), 0, 3);
    appendFileSync(join(dir, '00000001'), Buffer.from([255, 255, 255, 1, 7]));
    expect(takeAll(open(), 10)).toEqual([0, 1, 2]);
  });

  test('is full at its limit, and no more when it was taken', () => {
    const spool = open({ ...SMALL, limitBytes: 1_000 });
    for (let i = 0; !spool.isFull(); i++) spool.push(i);
    expect(spool.sizeBytes()).toBeGreaterThanOrEqual(1_000);
    spool.push(-1);
    expect(takeAll(spool, 7).at(-1)).toBe(-1);
    expect(spool.isFull()).toBe(false);
  });

  test('is full where the disk takes nothing, and keeps in memory, in order, what comes all the same', () => {
    mkdirSync(dir);
    const spool = open({ windowItems: 3, fileBytes: 60 });
    pushAll(spool, 0, 20);
    const next = Number(readdirSync(dir).sort().at(-1)) + 1;
    // A file on a device that is always full.
    for (let at = next; at < next + 40; at++) symlinkSync('/dev/full', join(dir, String(at).padStart(8, '0')));
    pushAll(spool, 20, 60);
    expect([spool.isFull(), spool.size()]).toEqual([true, 60]);
    for (let at = next; at < next + 40; at++) rmSync(join(dir, String(at).padStart(8, '0')), { force: true });
    const taken = spool.first(3);
    spool.drop(3);
    pushAll(spool, 60, 70);
    expect([...taken, ...takeAll(spool, 4)]).toEqual(numbers(0, 70));
    expect(spool.isFull()).toBe(false);
    pushAll(spool, 70, 90);
    expect(takeAll(spool, 4)).toEqual(numbers(70, 90));
  });
});
