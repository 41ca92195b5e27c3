import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { conversationOf, FIXTURE, HASHED, TEMPLATES, writeBases } from '../../../scripts/conversations/generate.js';
import { hashOf, loadBases, outcomeOf } from '../../../scripts/conversations/ours.js';

// scripts/conversations/README.md says what is compared and how the hashes are made.
const bases = mkdtempSync(join(tmpdir(), 'moraine-conversations-'));
afterAll(() => rmSync(bases, { recursive: true, force: true }));
writeBases(bases);
const tokenizers = await loadBases(bases);
const hashes = readFileSync(FIXTURE, 'utf8').trimEnd().split('\n');

test('every generated conversation has its hash', () => {
  expect(hashes).toHaveLength(HASHED);
});

describe('ids and what is learned are those of transformers, or the conversation is refused by both', () => {
  test.each(TEMPLATES)('under a template like that of $like', ({ name }) => {
    const numbers = hashes.flatMap((_hash, i) => (conversationOf(i).template.name === name ? [i] : []));
    const different = numbers.filter((i) => hashOf(outcomeOf(conversationOf(i).line, tokenizers(name))) !== hashes[i]);
    expect(different).toEqual([]);
    const refused = numbers.filter((i) => hashes[i] === 'refused');
    expect(refused.length).toBeLessThan(numbers.length / 2);
  });
});
