import { readFileSync } from 'node:fs';
import { METHODS } from '@moraine/contract';
import { describe, expect, it } from 'vitest';

const css = readFileSync(new URL('../src/theme.css', import.meta.url), 'utf8');

/** Every `--name: light-dark(#light, #dark)` of the file. */
const tokens = new Map(
  [...css.matchAll(/(--[\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);/g)].map(
    ([, name = '', light = '', dark = '']) => [name, { light, dark }],
  ),
);
const names = (prefix: RegExp): string[] => [...tokens.keys()].filter((name) => prefix.test(name));

/** Relative luminance and contrast as WCAG 2.2 defines them. */
function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

const pairs = (foreground: RegExp) =>
  names(foreground).flatMap((text) =>
    names(/^--surface-/).flatMap((surface) =>
      (['light', 'dark'] as const).map((theme) => ({
        text,
        surface,
        theme,
        ratio: contrast(tokens.get(text)?.[theme] ?? '', tokens.get(surface)?.[theme] ?? ''),
      })),
    ),
  );

describe('the look', () => {
  it('black on white has a contrast of 21, so the formula is right', () => {
    expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
    expect(contrast('#767676', '#ffffff')).toBeCloseTo(4.54, 2);
  });

  it('every text, state and accent is readable on every surface in both themes', () => {
    const all = pairs(/^--(text-|state-|accent)/);
    expect(all.length).toBe(8 * 3 * 2);
    expect(all.filter(({ ratio }) => ratio < 4.5)).toEqual([]);
  });

  it('every curve and method can be told from its surface (3 : 1 for graphics)', () => {
    const all = pairs(/^--(method-|series-)/);
    // A colour for each method, one for the base and one for validation, on three surfaces of two themes.
    expect(all.length).toBe((METHODS.length + 2) * 3 * 2);
    expect(all.filter(({ ratio }) => ratio < 3)).toEqual([]);
  });

  it('colours are named in this one file only', () => {
    for (const file of ['base', 'layout', 'pages']) {
      const text = readFileSync(new URL(`../src/${file}.css`, import.meta.url), 'utf8');
      expect(text.match(/#[0-9a-f]{3,8}\b|rgba?\(|hsla?\(/gi)).toBeNull();
    }
  });

  it('has no shadow but the mark of the focused row, and no gradient', () => {
    for (const file of ['base', 'layout', 'pages']) {
      const text = readFileSync(new URL(`../src/${file}.css`, import.meta.url), 'utf8');
      expect(text).not.toMatch(/gradient\(|box-shadow: (?!inset 2px 0 var\(--accent\))/);
    }
  });
});
