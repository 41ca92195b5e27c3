import { loadBaseTokenizer, type TextTokenizer } from '@moraine/data';
import { adapterAtLambda, between, type HostTensor, type ModelOptions, type WeightSource } from '@moraine/lm';
import { type Base, loadBase, readWeight } from '../base.js';
import { readTrained } from '../read-trained.js';
import { checkWeights } from '../weight-bytes.js';

/** What is evaluated: a base, alone or with what was trained on it. */
export interface OpenModel extends Pick<ModelOptions, 'config' | 'weights' | 'tuned'> {
  tokenizer: TextTokenizer;
}

export interface ModelPlace {
  baseDir: string;
  /**
   * An adapter's folder in any form that is read, a checkpoint's, the folder of a `local train`, or a whole model of the base's shapes; null: the
   * base alone.
   */
  tunedDir: string | null;
  /** Share of the update, 0 to 1. */
  lambda: number;
  /** What a chat template takes for today; null or absent: this day. */
  day?: Date | null;
}

/** Reads the files of a model. @throws AppError `invalid_base` and what `readAdapter` throws. */
export async function openModel({ baseDir, tunedDir, lambda, day }: ModelPlace): Promise<OpenModel> {
  const base = loadBase(baseDir);
  await checkWeights(base.weights);
  const tokenizer = await loadBaseTokenizer(baseDir, base.config.vocabSize, day ?? undefined);
  const { config, weights } = base;
  return { config, weights, tokenizer, ...(tunedDir === null ? {} : readTuned(tunedDir, base, lambda)) };
}

type Tuned = Partial<Pick<OpenModel, 'weights' | 'tuned'>>;

function readTuned(dir: string, base: Base, lambda: number): Tuned {
  const trained = readTrained(dir, base);
  if (lambda === 0) return {};
  if (trained.kind === 'whole') return { weights: mixWeights(base, trained.weightOf, lambda) };
  return { tuned: adapterAtLambda(trained.adapter, trained.variables, lambda, (name) => readWeight(base, name)) };
}

/** W0 + λ(W − W0) of every weight that was trained. */
function mixWeights(base: Base, trained: (name: string) => HostTensor | undefined, lambda: number) {
  const weights = new Map<string, WeightSource>();
  for (const [name, source] of base.weights) {
    const tuned = trained(name);
    weights.set(name, tuned === undefined ? source : between(readWeight(base, name), tuned, lambda));
  }
  return weights;
}
