import { AppError, nearest } from '@moraine/contract';
import { loadBaseTokenizer, type TextTokenizer } from '@moraine/data';
import { type Device, device, type NumericMode } from '@moraine/engine';
import { type Answer, type BeginOptions, createModel, type GenerationPlan, type PromptScores } from '@moraine/lm';
import { loadBase } from '../base.js';
import { checkWeights } from '../weight-bytes.js';
import { type LoadedAdapter, loadAdapters, type ServedAdapter } from './adapters.js';

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
}

/** A base with adapters, open for answers. */
export interface Served {
  readonly baseName: string;
  readonly tokenizer: TextTokenizer;
  readonly vocabSize: number;
  readonly contextMax: number;
  readonly device: Device;
  /** The base, then its adapters. */
  names(): string[];
  /** @throws AppError `not_found` naming the nearest. */
  requireModel(name: string): void;
  /**
   * Begins an answer of the base or an adapter, at a share of its update.
   * @throws AppError `not_found`, `unavailable` while every slot answers for others, and as `Generator.begin` does.
   */
  begin(model: string, lambda: number, prompt: readonly number[], options: BeginOptions): Answer;
  /**
   * Scores the tokens of a prompt under the base or an adapter; `listed` of the likeliest at every place are told, at most 20.
   * @throws AppError as `begin` does.
   */
  score(model: string, lambda: number, prompt: readonly number[], listed: number): Promise<PromptScores>;
  dispose(): void;
}

const ROWS = 8;
/** Slots beside those of the adapters themselves, for other shares of them. */
const SLOTS_SPARE = 4;
const PREFILL_MIN = 16;

/** Opens a base and its adapters: everything is read and compiled. @throws AppError `invalid_base` and as `loadAdapters` does. */
export async function openServed({
  baseDir,
  baseName,
  adapters: asked,
  mode = 'plain',
  rows = ROWS,
  contextMax,
}: ServeOptions): Promise<Served> {
  if (asked.some(({ name }) => name === baseName))
    throw new AppError('invalid_value', `Two models are called '${baseName}'.`, {
      param: 'adapter',
      hint: 'Call the adapter or the base something else.',
    });
  const base = loadBase(baseDir);
  await checkWeights(base.weights);
  const { config } = base;
  const tokenizer = await loadBaseTokenizer(baseDir, config.vocabSize);
  const { adapters, groups } = loadAdapters(base, asked, (count) => count + SLOTS_SPARE);
  const context = Math.min(contextMax ?? config.maxPositions, config.maxPositions);
  const generation = planFor(rows, context);
  const model = await createModel({ config, weights: base.weights, mode, generation, adapterGroups: groups });
  const { generator } = model;
  if (generator === null) throw new AppError('internal', 'A model with a plan of generation has no generator.');
  const byName = new Map(adapters.map((adapter) => [adapter.name, adapter]));
  const residents = createResidents(
    model.adapters,
    groups.map(({ slots }) => slots),
  );
  for (const adapter of adapters) residents.hold(adapter, 1)();
  const names = () => [baseName, ...byName.keys()];
  const requireModel = (name: string): LoadedAdapter | null => {
    const adapter = byName.get(name) ?? null;
    if (adapter !== null || name === baseName) return adapter;
    const near = nearest(name, names());
    throw new AppError('not_found', `There is no model '${name}' here.`, {
      param: 'model',
      hint: near ? `Did you mean '${near}'?` : `There are ${names().join(', ')}.`,
    });
  };
  return {
    baseName,
    tokenizer,
    vocabSize: config.vocabSize,
    contextMax: context,
    device: device(),
    names,
    requireModel,
    begin(name, lambda, prompt, options) {
      const adapter = requireModel(name);
      if (adapter === null || lambda === 0) return generator.begin(prompt, options);
      const release = residents.hold(adapter, lambda);
      try {
        const answer = generator.begin(prompt, { ...options, adapter: residents.keyOf(adapter, lambda) });
        void answer.completion.then(release, release);
        return answer;
      } catch (error) {
        release();
        throw error;
      }
    },
    async score(name, lambda, prompt, listed) {
      const adapter = requireModel(name);
      if (adapter === null || lambda === 0) return generator.score(prompt, { listed });
      const release = residents.hold(adapter, lambda);
      try {
        return await generator.score(prompt, { adapter: residents.keyOf(adapter, lambda), listed });
      } finally {
        release();
      }
    },
    dispose: () => model.dispose(),
  };
}

/** One row and all of them; prompts padded to one of a few lengths, each four times the one before. */
function planFor(rows: number, contextMax: number): GenerationPlan {
  const prefillTimes: number[] = [];
  for (let time = contextMax; time > PREFILL_MIN; time = Math.ceil(time / 4)) prefillTimes.unshift(time);
  return { batches: [...new Set([1, rows])], prefillTimes, scoreTimes: prefillTimes, contextMax };
}

/** Which adapters, at which shares, have slots; those that answer keep theirs, and of the others the one unused the longest goes first. */
function createResidents(
  slots: {
    load(name: string, group: number, variables: ReturnType<LoadedAdapter['variablesAt']>): void;
    unload(name: string): void;
  },
  sizes: readonly number[],
) {
  /** In the order in which they were last used. */
  const held = new Map<string, { group: number; users: number }>();
  const keyOf = ({ name }: LoadedAdapter, lambda: number): string => `${name}@${lambda}`;
  function makeRoom(group: number): void {
    const inGroup = [...held].filter(([, one]) => one.group === group);
    if (inGroup.length < (sizes[group] ?? 0)) return;
    const idle = inGroup.find(([, { users }]) => users === 0);
    if (idle === undefined)
      throw new AppError('unavailable', 'Every slot for adapters of this kind answers for others.', {
        hint: 'Try again in a moment.',
      });
    slots.unload(idle[0]);
    held.delete(idle[0]);
  }
  return {
    keyOf,
    /** Gives the adapter a slot until what it returns is called. @throws AppError `unavailable`. */
    hold(adapter: LoadedAdapter, lambda: number): () => void {
      const key = keyOf(adapter, lambda);
      const place = held.get(key) ?? { group: adapter.group, users: 0 };
      if (!held.has(key)) {
        makeRoom(adapter.group);
        slots.load(key, adapter.group, adapter.variablesAt(lambda));
      }
      held.delete(key);
      held.set(key, place);
      place.users += 1;
      let isOver = false;
      return () => {
        if (!isOver) place.users -= 1;
        isOver = true;
      };
    },
  };
}
