import { describe, expect, test } from 'vitest';
import { createTextSoFar } from '../src/index.js';

/** A token a byte. */
const bytes = (text: string): number[] => [...Buffer.from(text)];
const decode = (ids: readonly number[]) => Buffer.from(ids).toString('utf8');

/** What is given after each token, and at the end. */
function told(whole: string, stops: string[], text = whole): string[] {
  const soFar = createTextSoFar(decode, stops);
  const ids = bytes(whole);
  return [...ids.map((_, i) => soFar.add(ids.slice(0, i + 1))), soFar.end(text)];
}

describe('text is given once nothing can take it back', () => {
  test('a letter of several tokens with its last one', () => {
    expect(told('aé→😀', [])).toEqual(['a', '', 'é', '', '', '→', '', '', '', '😀', '']);
  });

  test('what may begin a stop text waits until it does not, the longest beginning first', () => {
    expect(told('a##b', ['##\n'])).toEqual(['a', '', '', '##b', '']);
    expect(told('ababx', ['babc', 'b.'])).toEqual(['a', '', '', '', 'babx', '']);
  });

  test('nothing of a stop text is given, and the end gives what waited', () => {
    expect(told('yes##', ['##\n'])).toEqual(['y', 'e', 's', '', '', '##']);
    const all = told('say STOP', ['STOP'], 'say ');
    expect(all.join('')).toBe('say ');
  });
});
