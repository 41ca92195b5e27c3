import { AppError } from '@moraine/contract';
import { intrudersAt, type WeightRow } from '@moraine/contract/analyses';
import type { LinearShape } from '@moraine/contract/plan';
import { type ControlFigures, createLayerLab, seededFor, type UpdateFigures } from '@moraine/lm';
import { type Base, loadBase, readWeight } from '../base.js';
import { checkWeights } from '../weight-bytes.js';
import { openSource, type WeightSource } from './sources.js';

export interface WeightAnalysisOptions {
  baseDir: string;
  /** Adapters, whole models and checkpoints of the base. */
  dirs: readonly string[];
  /** Share of the update that is applied, 0 to 1. */
  lambda: number;
  /** Singular vectors that are compared; arXiv 2410.21228 takes 10. */
  k: number;
  /** A cosine below it makes an intruder; 0.5 there. */
  epsilon: number;
  /** Of the control's numbers, which depend on it and the layer's name alone. */
  seed: number;
  /** Whether a layer is analysed. */
  isWanted: (layer: string) => boolean;
  /** Layers that are not measured again, the first ones. */
  from?: number;
  /** Asked between layers; once true, no more are measured. */
  isStopped?: () => boolean;
}

/** What is known before the first layer is measured. */
export interface WeightAnalysisPlan {
  layers: number;
  /** Rows that come. */
  rows: number;
  /** By source: its weights that are no linear layer, which are not measured. */
  others: Map<string, number>;
}

/**
 * Measures how sources change the linear layers of a base, layer by layer, all sources of a layer together: in memory is one weight of the base, one
 * of each source in turn, their decompositions, and adapters whole.
 * @param emit given each row; rows come in the order of layers, then of `dirs`
 * @throws AppError `invalid_base`, what `openSource` throws, `invalid_request` where no layer is wanted
 */
export async function analyseWeights(
  options: WeightAnalysisOptions,
  emit: (row: WeightRow) => void,
  onPlan: (plan: WeightAnalysisPlan) => void = () => undefined,
): Promise<'done' | 'stopped'> {
  const { baseDir, dirs, isWanted, isStopped, from = 0 } = options;
  const base = loadBase(baseDir);
  await checkWeights(base.weights);
  const sources = namedApart(dirs.map((dir) => openSource(dir, base)));
  const layers = layersOf(sources, isWanted);
  onPlan({
    layers: layers.length,
    rows: layers.reduce((sum, { of }) => sum + of.length, 0),
    others: new Map(sources.map(({ name, others }) => [name, others])),
  });
  for (const { layer, of } of layers.slice(from)) {
    if (isStopped?.() === true) return 'stopped';
    for (const row of measureLayer(base, layer, of, options)) emit(row);
    await new Promise(setImmediate);
  }
  return 'done';
}

/** Folders of one name get their place behind it. */
const namedApart = (sources: readonly WeightSource[]): WeightSource[] =>
  sources.map((source, i) => {
    const before = sources.slice(0, i).filter(({ name }) => name === source.name).length;
    return before === 0 ? source : { ...source, name: `${source.name} (${before + 1})` };
  });

interface Wanted {
  layer: LinearShape;
  of: WeightSource[];
}

function layersOf(sources: readonly WeightSource[], isWanted: (layer: string) => boolean): Wanted[] {
  const byName = new Map<string, Wanted>();
  for (const source of sources) {
    for (const layer of source.layers) {
      const wanted = byName.get(layer.name) ?? { layer, of: [] };
      wanted.of.push(source);
      byName.set(layer.name, wanted);
    }
  }
  const wanted = [...byName.values()].filter(({ layer }) => isWanted(layer.name));
  if (wanted.length > 0) return wanted;
  const [first] = byName.keys();
  throw new AppError(
    'invalid_request',
    first === undefined
      ? 'Nothing of what was named changes a linear layer of the base.'
      : `No changed layer is wanted; the first of ${byName.size} is ${first}.`,
    { param: 'layers', hint: 'Name a part of a layer’s name, e.g. mlp or layers.0.' },
  );
}

function measureLayer(
  base: Base,
  layer: LinearShape,
  sources: readonly WeightSource[],
  { lambda, k, epsilon, seed }: WeightAnalysisOptions,
): WeightRow[] {
  const weight = readWeight(base, `${layer.name}.weight`);
  const lab = createLayerLab(weight, { k, random: seededFor(layer.name, seed) });
  try {
    return sources.map((source) => {
      const update = source.updateOf(layer, weight, lambda);
      const figures = lab.measure(update);
      const { values, norm, relativeNorm, control } = figures;
      return {
        source: source.name,
        step: source.step,
        layer: layer.name,
        module: layer.name.slice(layer.name.lastIndexOf('.') + 1),
        shape: [layer.outDim, layer.inDim],
        lambda,
        from: update.kind === 'thin' ? 'factors' : 'matrix',
        norm,
        relative_norm: relativeNorm,
        singular_values: values,
        epsilon,
        ...onWire(figures, epsilon),
        control: control === null ? null : onWire(control, epsilon),
      };
    });
  } finally {
    lab.dispose();
  }
}

const onWire = ({ rank90, stableRank, overlap, cosines }: UpdateFigures | ControlFigures, epsilon: number) => ({
  rank_90: rank90,
  stable_rank: stableRank,
  overlap,
  cosines,
  intruders: intrudersAt(cosines, epsilon),
});
