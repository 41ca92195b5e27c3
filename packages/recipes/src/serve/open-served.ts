import { AppError, nearest } from '@moraine/contract';
import { machineMemory } from '@moraine/contract/machine-memory';
import { loadBaseTokenizer, type TextTokenizer } from '@moraine/data';
import { type Device, device, type NumericMode } from '@moraine/engine';
import type { Answer, BeginOptions, Generator, PromptScores } from '@moraine/lm';
import { loadBase } from '../base.js';
import { checkWeights } from '../weight-bytes.js';
import { openBaseModel } from './base-model.js';
import { beginLater } from './begin-later.js';
import { createBudget } from './budget.js';
import { hashTrained } from './hash-trained.js';
import type { OpenModel } from './open-model.js';
import { servingPlan } from './plan.js';
import { type RowKind, readServed } from './resident-adapter.js';
import type { Place } from './resident-entry.js';
import { createResidents, type LoadOptions, type Resident } from './residents.js';

/** An adapter that a server has beside its base from the start. */
export interface ServedAdapter {
  /** What requests call it. */
  name: string;
  /** Its folder, in any form that is read. */
  dir: string;
}

export interface ServeOptions {
  baseDir: string;
  /** What requests call the base. */
  baseName: string;
  adapters: readonly ServedAdapter[];
  mode?: NumericMode;
  /** Answers that are written side by side. */
  rows?: number;
  /** Longest prompt and answer together, tokens; default the base's context. */
  contextMax?: number | undefined;
  /** What weights, caches and adapters may take of memory, in bytes; default 60 % of the machine's. TensorFlow and Node themselves take some 0.5 GB besides. */
  memoryBytes?: number | undefined;
}

/** A base with adapters, open for answers. */
export interface Served {
  readonly baseName: string;
  readonly tokenizer: TextTokenizer;
  readonly vocabSize: number;
  readonly contextMax: number;
  readonly device: Device;
  /** The base, then the adapters that it was opened with. */
  names(): string[];
  /** @param name one of `names`, or the id of what was loaded. @throws AppError `not_found` naming the nearest. */
  requireModel(name: string): void;
  /**
   * Begins an answer of the base or an adapter, at a share of its update. What is not in memory is brought first, and its answer begins then; it fails with
   * `unavailable` where no room can be made. An answer ends with the weights that it began with.
   * @param model one of `names`, or the id of what was loaded.
   * @throws AppError `not_found`, and as `Generator.begin` does.
   */
  begin(model: string, lambda: number, prompt: readonly number[], options: BeginOptions): Answer;
  /**
   * Scores the tokens of a prompt under the base or an adapter; `listed` of the likeliest at every place are told, at most 20.
   * @throws AppError as `begin` does.
   */
  score(model: string, lambda: number, prompt: readonly number[], listed: number): Promise<PromptScores>;
  /**
   * Reads what was trained on the base, of any method, checks it and lets requests have it under its hash; resolves when it answers. Others
   * answer meanwhile. One that is loaded already is left as it is; where it is on the disk alone, its next answer reads it from `dir`.
   * @throws AppError `invalid_value` for files of another hash or another base, `unavailable` where no room can be made, and as `readAdapter` does.
   */
  load(options: LoadOptions): Promise<void>;
  /** New requests no longer find it; those under way end with it, and then its memory is given back. @throws AppError `not_found`. */
  unload(id: string): Promise<void>;
  /** Whether it is loaded and in memory; what is on the disk alone is loaded too. */
  isInMemory(id: string): boolean;
  /** What is pinned keeps its place in memory. @throws AppError `not_found`. */
  pin(id: string, isPinned: boolean): void;
  resident(): Resident[];
  /** What weights, caches and adapters take of memory, bytes. */
  memoryBytes(): number;
  dispose(): void;
}

const ROWS = 8;
/** Of the machine's memory. Without a limit, callers who ask for ever more shares of an update would fill it. */
const MEMORY_SHARE = 0.6;

/** Opens a base and its adapters: everything is read and compiled. @throws AppError `invalid_base` and as `Served.load` does. */
export async function openServed({
  baseDir,
  baseName,
  adapters: asked,
  mode = 'plain',
  rows = ROWS,
  contextMax,
  memoryBytes = Math.floor(MEMORY_SHARE * machineMemory()),
}: ServeOptions): Promise<Served> {
  refuseTwice([baseName, ...asked.map(({ name }) => name)]);
  const base = loadBase(baseDir);
  await checkWeights(base.weights);
  const { config } = base;
  const tokenizer = await loadBaseTokenizer(baseDir, config.vocabSize);
  const context = Math.min(contextMax ?? config.maxPositions, config.maxPositions);
  const parts = { config, mode, plan: servingPlan(rows, context) };
  const first = new Map<string, { id: string; dir: string }>();
  const kinds: RowKind[] = [];
  for (const { name, dir } of asked) {
    const id = await hashTrained(dir);
    first.set(name, { id, dir });
    const { kind } = await readServed(base, id, dir);
    if (kind !== null) kinds.push(kind);
  }
  const budget = createBudget(memoryBytes);
  const main = await openBaseModel(parts, base, kinds, budget);
  const residents = createResidents(parts, base, main, budget);
  for (const { id, dir } of first.values()) await residents.load({ id, dir });
  const names = () => [baseName, ...first.keys()];
  /** Null for the base. */
  const idOf = (model: string): string | null => {
    if (model === baseName) return null;
    const id = first.get(model)?.id ?? model;
    if (residents.has(id)) return id;
    const near = nearest(model, names());
    throw new AppError('not_found', `There is no model '${model}' here.`, {
      param: 'model',
      hint: near ? `Did you mean '${near}'?` : `There are ${names().join(', ')}.`,
    });
  };
  const ofBase = (): ReturnType<typeof residents.take> => {
    const current = main.current();
    const at = ({ generator, use }: OpenModel): Place => ({ generator, adapter: null, use });
    return { place: current === null ? main.ready().then(at) : at(current), release: () => undefined };
  };
  const take = (model: string, lambda: number, check: (generator: Generator) => void = () => undefined) => {
    const id = idOf(model);
    const current = main.current();
    if (current !== null) check(current.generator);
    return id === null || lambda === 0 ? ofBase() : residents.take(id, lambda);
  };
  return {
    baseName,
    tokenizer,
    vocabSize: config.vocabSize,
    contextMax: context,
    device: device(),
    names,
    requireModel: (name) => {
      idOf(name);
    },
    begin(model, lambda, prompt, options) {
      const { place, release } = take(model, lambda, (generator) => generator.check(prompt, options));
      const start = ({ generator, adapter, use }: Place): Answer => {
        const leave = use();
        try {
          const answer = generator.begin(prompt, { ...options, adapter });
          void answer.completion.then(leave, leave);
          return answer;
        } catch (error) {
          leave();
          throw error;
        }
      };
      try {
        const answer = place instanceof Promise ? beginLater(place, start) : start(place);
        void answer.completion.then(release, release);
        return answer;
      } catch (error) {
        release();
        throw error;
      }
    },
    async score(model, lambda, prompt, listed) {
      const { place, release } = take(model, lambda);
      try {
        const { generator, adapter, use } = await place;
        const leave = use();
        return await generator.score(prompt, { adapter, listed }).finally(leave);
      } finally {
        release();
      }
    },
    load: residents.load,
    unload: residents.unload,
    isInMemory: residents.isInMemory,
    pin: residents.pin,
    resident: residents.list,
    memoryBytes: () => budget.used(),
    dispose: () => {
      main.dispose();
      residents.dispose();
    },
  };
}

function refuseTwice(names: readonly string[]): void {
  const [base] = names;
  const name = names.find((each, i) => names.indexOf(each) !== i);
  if (name === undefined) return;
  throw new AppError('invalid_value', `Two ${name === base ? 'models' : 'adapters'} are called '${name}'.`, {
    param: 'adapter',
    hint: 'Give each its own name.',
  });
}
