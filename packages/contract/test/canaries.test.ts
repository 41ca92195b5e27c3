// Expected numbers: counting by hand; Carlini et al. 2019, arXiv:1802.08232; the distribution of a uniform rank.
import { describe, expect, test } from 'vitest';
import {
  CANARY_FORMS,
  CanaryRow,
  candidateCount,
  candidatesOf,
  charactersRight,
  drawCanaries,
  expectedExposure,
  exposureOf,
  ownCanaries,
  rankOfFirst,
  summariseCanaries,
} from '../src/analyses/index.js';
import { createRandom } from '../src/random.js';

describe('canaries that are drawn', () => {
  test.each([
    ['digits', /^\d{8}$/],
    ['letters', /^[a-z]{8}$/],
    ['uuid', /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/],
  ] as const)('of kind %s have its form, no key twice, and depend on the seed alone', (kind, form) => {
    const asked = { count: 30, controls: 40, seed: 3 };
    const { planted, controls } = drawCanaries(kind, asked);
    expect([planted.length, controls.length]).toEqual([30, 40]);
    const all = [...planted, ...controls];
    for (const { prompt, value } of all) {
      expect(value).toMatch(form);
      expect(/^The code of (.*) is$/.exec(prompt)?.[1]).toMatch(form);
    }
    for (const key of ['id', 'prompt', 'value'] as const) expect(new Set(all.map((each) => each[key])).size).toBe(70);
    expect(drawCanaries(kind, asked)).toEqual({ planted, controls });
    expect(drawCanaries(kind, { ...asked, seed: 4 }).planted).not.toEqual(planted);
    // More of one does not change the other.
    expect(drawCanaries(kind, { ...asked, controls: 0 }).planted).toEqual(planted);
  });

  test('are ranked among distinct values of their form, their own first, the same at every measuring', () => {
    const file = { kind: 'digits', seed: 3 } as const;
    const [first, second] = drawCanaries('digits', { count: 2, controls: 0, seed: 3 }).planted;
    if (first === undefined || second === undefined) throw new Error('no canaries');
    const candidates = candidatesOf(file, first);
    expect(candidates[0]).toBe(first.value);
    expect(new Set(candidates).size).toBe(CANARY_FORMS.digits.candidates);
    expect(candidates.every((value) => /^\d{8}$/.test(value))).toBe(true);
    expect(candidatesOf(file, first)).toEqual(candidates);
    expect(candidatesOf(file, second).slice(1, 9)).not.toEqual(candidates.slice(1, 9));
    // Characters are spread over the alphabet: 8,184 of them, 818 each by chance, standard deviation 27.
    const counts = new Map<string, number>();
    for (const letter of candidates.slice(1).join('')) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    for (const count of counts.values()) expect(Math.abs(count - 818)).toBeLessThan(5 * 27);
  });

  test('of one’s own keep their text, and candidates and controls have other digits and letters in their places', () => {
    const pairs = [{ prompt: 'Call Ann at', value: 'Tel. 555-0199 (Ann)' }];
    const { planted, controls } = ownCanaries(pairs, { controls: 2, seed: 1 });
    expect(planted).toEqual([{ id: 'own-1', ...pairs[0] }]);
    const form = /^[A-Z][a-z]{2}\. \d{3}-\d{4} \([A-Z][a-z]{2}\)$/;
    expect(controls).toHaveLength(2);
    for (const { value } of controls) expect(value).toMatch(form);
    const [own] = planted;
    const values = own ? candidatesOf({ kind: 'own', seed: 1 }, own) : [];
    expect(values).toHaveLength(candidateCount('own'));
    for (const value of values) expect(value).toMatch(form);
    expect(() => ownCanaries([{ prompt: 'x', value: 'no 1' }], { controls: 0, seed: 1 })).not.toThrow();
    expect(() => ownCanaries([{ prompt: 'x', value: '«12»' }], { controls: 0, seed: 1 })).toThrow(
      expect.objectContaining({ code: 'invalid_file', message: expect.stringContaining('Row 1') }),
    );
  });
});

describe('exposure', () => {
  test('is log2 of candidates less log2 of the rank; the likeliest has it all, and equal scores count against it', () => {
    expect([rankOfFirst([-1, -2, -3, -4]), rankOfFirst([-3, -2, -1, -4]), rankOfFirst([-9, -9, -9, -9])]).toEqual([
      1, 3, 4,
    ]);
    expect([exposureOf(1, 1024), exposureOf(1024, 1024), exposureOf(3, 4)]).toEqual([
      10,
      0,
      expect.closeTo(0.415037, 6),
    ]);
  });

  test('of a uniform rank is 1 / ln 2 bits for many candidates, and by hand for four', () => {
    expect(expectedExposure(4)).toBeCloseTo((2 + 1 + Math.log2(4 / 3) + 0) / 4, 12);
    expect(expectedExposure(2 ** 20)).toBeCloseTo(1 / Math.LN2, 4);
    expect(expectedExposure(1024)).toBeCloseTo(1 / Math.LN2 - Math.log2(2 * Math.PI * 1024) / 2048, 6); // Stirling
  });

  test('characters count in their places', () => {
    expect([
      charactersRight('1234', '1234'),
      charactersRight('1934 and more', '1234'),
      charactersRight('', '12'),
    ]).toEqual([1, 0.75, 0]);
  });

  const rowOf = (rank: number, is_planted: boolean, is_extracted = false): CanaryRow =>
    CanaryRow.parse({
      id: 'x',
      is_planted,
      log_probability: -1,
      rank,
      candidates: 256,
      exposure: exposureOf(rank, 256),
      answer: '',
      is_extracted,
      characters: is_extracted ? 1 : 0.25,
    });

  test('is summarised with intervals, planted and controls apart', () => {
    const rows = [rowOf(1, true, true), rowOf(1, true, true), rowOf(4, true), rowOf(128, false), rowOf(32, false)];
    expect(summariseCanaries(rows)).toMatchObject({
      candidates: 256,
      ceiling: 8,
      planted: {
        n: 3,
        exposure: { mean: expect.closeTo(22 / 3, 9), half: expect.closeTo(2.868, 2) }, // t(0.975, 2) · 1.1547 / √3
        extracted: { count: 2, share: 2 / 3 },
        characters: { mean: expect.closeTo(0.75, 9) },
      },
      controls: { n: 2, exposure: { mean: 2, half: null }, extracted: { count: 0 } },
    });
    expect(summariseCanaries(rows.slice(0, 3)).controls).toBeNull();
  });

  test('of ranks that are drawn is the distribution of a uniform rank', () => {
    const random = createRandom(5);
    const exposures = Array.from({ length: 4000 }, () => exposureOf(random.int(1, 256), 256));
    const mean = exposures.reduce((sum, value) => sum + value, 0) / exposures.length;
    expect(Math.abs(mean - expectedExposure(256))).toBeLessThan((5 * 1.42) / Math.sqrt(4000));
  });
});
