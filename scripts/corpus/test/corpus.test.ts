import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRandom, loadTokenizer } from '@moraine/data';
import { beforeAll, describe, expect, test } from 'vitest';
import { createEncoder, type Vocabulary } from '../bpe.js';
import { corpusVocabulary, generateCorpus } from '../corpus.js';
import { PARTS, writeDocument } from '../documents.js';
import { drawPassage } from '../passage.js';
import { recordText } from '../tasks.js';
import { CHAT_TEMPLATE, countNameTokens } from '../tokenizer.js';
import { COMMON_NAMES, END, NEW_NAMES, RARE_NAMES, RESIDENTS } from '../world.js';

const base = join(import.meta.dirname, '../../../examples/base');
let vocabulary: Vocabulary;
beforeAll(() => {
  vocabulary = corpusVocabulary();
});

describe('the corpus', () => {
  const documents = Array.from({ length: 3000 }, (_, index) => writeDocument(1, index));

  test('is the same for a seed, document by document', () => {
    expect(writeDocument(1, 1234)).toEqual(documents[1234]);
    expect(writeDocument(2, 1234)).not.toEqual(documents[1234]);
  });

  test('never shows the form of the task or a name that is kept for its test', () => {
    const kept = new RegExp(`\\{"\\w+":|Record|\\b(${NEW_NAMES.join('|')})\\b`);
    for (const { text } of documents) expect(text).not.toMatch(kept);
  });

  test('ends every document and every answer with the end token', () => {
    for (const { text } of documents) {
      expect(text.endsWith(END)).toBe(true);
      expect(text.split('<|assistant|>').length).toBeLessThanOrEqual(text.split(END).length);
    }
  });

  test('has its parts in their shares', () => {
    PARTS.forEach(({ share }, part) => {
      const found = documents.filter((document) => document.part === part).length / documents.length;
      expect(Math.abs(found - share)).toBeLessThan(0.03);
    });
  });

  test('names giver and taker together in the main sentence only, giver first three times of four', () => {
    const random = createRandom(5);
    let giverFirst = 0;
    for (let i = 0; i < 2000; i += 1) {
      const { event, text } = drawPassage(random, RARE_NAMES);
      const both = text.split('. ').filter((sentence) => sentence.includes(event.from) && sentence.includes(event.to));
      expect(both).toHaveLength(1);
      const main = both[0] ?? '';
      expect(main).toContain(String(event.count));
      if (main.indexOf(event.from) < main.indexOf(event.to)) giverFirst += 1;
    }
    expect(giverFirst / 2000).toBeGreaterThan(0.71);
    expect(giverFirst / 2000).toBeLessThan(0.79);
  });

  test('keeps the groups of names apart', () => {
    const all = [...COMMON_NAMES, ...RARE_NAMES, ...NEW_NAMES, ...RESIDENTS];
    expect(all).toHaveLength(1200);
    expect(new Set(all).size).toBe(1200);
  });

  test('packs into the same rows again', () => {
    const size = { documents: 400, validationDocuments: 50, tokenizerDocuments: 4000 };
    const one = generateCorpus(size);
    expect(generateCorpus(size).train.tokens).toEqual(one.train.tokens);
    expect(one.train.time).toBe(256);
    expect(one.report.rows).toBe(one.train.rows);
  });
});

describe('the tokenizer', () => {
  test('has 1,024 tokens; common names are one token, all others two, with and without a space', () => {
    expect(vocabulary.ids.size).toBe(1024);
    const counts = countNameTokens(vocabulary);
    expect(counts).toEqual({
      common: { 1: 80 },
      'common, after a space': { 1: 80 },
      rare: { 2: 940 },
      'rare, after a space': { 2: 940 },
      new: { 2: 60 },
      'new, after a space': { 2: 60 },
    });
  });

  test('is the committed one', async () => {
    const committed: unknown = JSON.parse(await readFile(join(base, 'tokenizer.json'), 'utf8'));
    expect(committed).toMatchObject({
      model: { vocab: Object.fromEntries(vocabulary.ids), merges: vocabulary.merges.map((pair) => pair.join(' ')) },
    });
    expect(JSON.parse(await readFile(join(base, 'tokenizer_config.json'), 'utf8'))).toMatchObject({
      chat_template: CHAT_TEMPLATE,
    });
  });

  test('gives the ids of the library that users read it with', async () => {
    const library = await loadTokenizer(base);
    const encode = createEncoder(vocabulary);
    const texts = Array.from({ length: 300 }, (_, index) => writeDocument(9, index).text);
    for (const text of [
      ...texts,
      '{"act":"sell","from":"Barbo","to":"Vento","count":26}<|end|>',
      ' ½ é 日本\n\n\t x  y ',
    ]) {
      expect(encode(text)).toEqual(library.encode(text));
    }
  });

  test('every token of the task’s answers occurs in the corpus', () => {
    const encode = createEncoder(vocabulary);
    const seen = new Set(Array.from({ length: 6000 }, (_, index) => encode(writeDocument(1, index).text)).flat());
    const random = createRandom(8);
    for (let i = 0; i < 500; i += 1) {
      const names = i % 2 === 0 ? COMMON_NAMES : RARE_NAMES;
      const missing = encode(recordText(drawPassage(random, names).event)).filter((id) => !seen.has(id));
      expect(missing).toEqual([]);
    }
  });
});
