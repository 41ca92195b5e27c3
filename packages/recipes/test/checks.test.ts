import { describe, expect, it } from 'vitest';
import { checkAnswer, isSameAnswer, type PlainCheck, similarity } from '../src/evaluate/checks.js';
import { flexibleNumber, judgeGsm8k, strictNumber } from '../src/evaluate/gsm8k.js';

const judge = (answer: string, expected: string, check: PlainCheck) => checkAnswer(answer, check, expected);

describe('GSM8K', () => {
  it.each([
    ['#### 18', 1, 1],
    ['She has 18.', 0, 1],
    ['#### 18.', 1, 1],
    ['#### $18', 0, 1],
    ['It is $18', 0, 1],
    ['12 and then 18', 0, 1],
    ['#### 18 or 19', 1, 0],
    ['#### -18', 0, 0],
    ['nothing', 0, 0],
  ] as const)('%j: strict %d, flexible %d', (answer, exact_match, exact_match_flexible) => {
    expect(judgeGsm8k(answer, 'So 6 * 3 = 18\n#### 18')).toEqual({ exact_match, exact_match_flexible });
  });

  it('thousands and negative numbers are equal however they are written', () => {
    expect(judgeGsm8k('#### 1,234.', '#### 1234')).toEqual({ exact_match: 1, exact_match_flexible: 1 });
    expect(judgeGsm8k('#### -5', '#### -5')).toEqual({ exact_match: 1, exact_match_flexible: 1 });
  });

  it('strict takes the first number that is marked, flexible the last of all', () => {
    expect(strictNumber('#### 1 #### 2')).toBe('1');
    expect(flexibleNumber('1, 2 and 3.')).toBe('3.');
    expect([strictNumber('none'), flexibleNumber('none')]).toEqual(['[invalid]', '[invalid]']);
  });
});

describe('answers', () => {
  it.each([
    ['  Paris. ', 'paris', true],
    ['two  spans', 'two spans', true],
    ['$1,234.50', '1234.5', true],
    ['(12.6)', '-12.6', true],
    ['22 %', '22', true],
    ['5.0142', '5.01416', true],
    ['5.02', '5.01416', false],
    ['-', '', false],
    ['1.2.3', '1.23', false],
    ['1,23', '123', false],
  ])('%j is %j: %s', (answer, expected, isSame) => {
    expect(isSameAnswer(answer, expected)).toBe(isSame);
  });
});

describe('checks', () => {
  it.each([
    ['eq', ' Yes', 'Yes', 1],
    ['eq', 'yes', 'Yes', 0],
    ['ne', 'no', 'Yes', 1],
    ['like', 'I say Yes.', 'Yes', 1],
    ['like', 'I say yes.', 'Yes', 0],
    ['ilike', 'I say yes.', 'YES', 1],
  ] as const)('%s: %j beside %j', (operation, answer, reference, passed) => {
    expect(judge(answer, reference, { type: 'string', operation })).toEqual({ passed });
  });

  it.each([
    // rapidfuzz 3: fuzz.ratio / 100
    ['this is a test', 'this is a test!', 0.965_517],
    ['kitten', 'sitting', 0.615_385],
    ['abc', 'xyz', 0],
    ['', '', 1],
  ])('%j is like %j by %d', (a, b, ratio) => {
    expect(similarity(a, b)).toBeCloseTo(ratio, 5);
    expect(judge(a, b, { type: 'similarity', least: ratio - 0.01 })).toEqual({ passed: 1 });
    expect(judge(a, b, { type: 'similarity', least: ratio + 0.01 })).toEqual({ passed: 0 });
  });

  it('a pattern is searched for in the answer', () => {
    expect(judge('it is 42', '', { type: 'pattern', pattern: '\\b42$', flags: '' })).toEqual({ passed: 1 });
    expect(judge('it is 421', '', { type: 'pattern', pattern: '\\b42$', flags: '' })).toEqual({ passed: 0 });
  });

  it('a pattern that searches for ever is stopped and named', () => {
    const check = { type: 'pattern', pattern: '^(a+)+$', flags: '' } as const;
    expect(() => judge(`${'a'.repeat(40)}b`, '', check)).toThrow(
      expect.objectContaining({ code: 'user_data', param: 'pattern' }),
    );
  });
});
