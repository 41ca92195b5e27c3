import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadTokenizer } from '../../packages/data/src/tokenizer.js';
import { DAY, MODELS, type TemplateCase, templateOf } from './generate.js';
import { type Outcome, outcomeOf } from './ours.js';

/** A template of a model with the folder of its tokenizer. */
export interface RowCase extends TemplateCase {
  folder: string;
  template: string;
}

/** What a row makes: the ids of each training row with the stretches of tokens to learn, or null where transformers refuses it. */
export type GoldenRow = { ids: number[]; learned: [from: number, to: number][] }[] | null;

export const GOLDEN = join(import.meta.dirname, 'fixtures/rows.json');
export const rowLines = readFileSync(join(import.meta.dirname, 'rows.jsonl'), 'utf8')
  .trimEnd()
  .split('\n');

/** Templates in real development data, which lies beside the checkout or is absent. */
const shared = resolve(import.meta.dirname, '../../../shared/data/tokenizers');
export const SHARED = ['smollm2', 'tinyllama', 'qwen2.5'];

/** The templates of models whose bases `writeBases` made in `bases`. */
export const ownCases = (bases: string): RowCase[] =>
  MODELS.map((one) => ({ ...one, folder: join(bases, one.name), template: templateOf(one) }));

/** The templates of the shared data, with their own tokenizers; one that has no tokenizer.json takes the one in `bases`. */
export function sharedCases(bases: string): RowCase[] {
  if (!existsSync(shared)) return [];
  return SHARED.map((name) => {
    const config = JSON.parse(readFileSync(join(shared, name, 'tokenizer_config.json'), 'utf8')) as Record<
      string,
      string
    >;
    const file = join(shared, name, 'chat_template.jinja');
    const template = existsSync(file) ? readFileSync(file, 'utf8') : String(config.chat_template);
    const own = join(shared, name);
    const folder = existsSync(join(own, 'tokenizer.json')) ? own : withTokenizer(bases, name, { ...config, template });
    const { eos_token: eos = '', bos_token: bos } = config;
    return { name, like: name, eos, ...(bos ? { bos } : {}), calls: 'object', opening: [], folder, template };
  });
}

function withTokenizer(bases: string, name: string, { template, eos_token }: Record<string, string>): string {
  const folder = join(bases, name);
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(bases, MODELS[0]?.name ?? '', 'tokenizer.json'), join(folder, 'tokenizer.json'));
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ eos_token }));
  writeFileSync(join(folder, 'chat_template.jinja'), template ?? '');
  return folder;
}

/** What training makes of the rows under a template. */
export async function oursOf({ folder }: RowCase): Promise<GoldenRow[]> {
  const tokenizer = await loadTokenizer(folder, new Date(DAY));
  return rowLines.map((line) => goldenRow(outcomeOf(line, tokenizer)));
}

export function goldenRow(outcome: Outcome): GoldenRow {
  if ('refused' in outcome) return null;
  return outcome.rows.map(([ids, mask]) => ({ ids, learned: stretches(mask) }));
}

function stretches(mask: readonly number[]): [number, number][] {
  const runs = [...mask.join('').matchAll(/1+/g)];
  return runs.map((run) => [run.index, run.index + run[0].length]);
}
