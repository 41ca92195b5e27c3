import type { ModelShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import type { MethodConfig } from '../methods/registry.js';
import { nearest } from '../suggest.js';
import { totalParameters, weightShapes } from './shapes.js';
import { pathTest } from './targets.js';

/** Words for kinds of modules, each a test of a path and of whether its weight is a vector. */
const KINDS: Readonly<Record<string, (path: string, isVector: boolean) => boolean>> = {
  norms: (path, isVector) => isVector && path.endsWith('norm'),
  embeddings: (path) => path.endsWith('embed_tokens'),
  head: (path) => path === 'lm_head',
};

/** The module that a weight belongs to: its name without the last word. */
const moduleOf = (weight: string): string => weight.slice(0, weight.lastIndexOf('.'));

/** The weights of a base that a configuration trains whole; null where that is every one. */
export function wholeWeights(config: MethodConfig, base: ModelShape): string[] | null {
  const { modules_to_save: modules } = config;
  if (modules === undefined) return 'target_modules' in config ? [] : null;
  const wanted = new Set(modules);
  return [...weightShapes(base).keys()].filter((name) => wanted.has(moduleOf(name)));
}

/** Numbers in the weights that a configuration trains whole. */
export function wholeParameters(config: MethodConfig, base: ModelShape): number {
  const names = wholeWeights(config, base);
  if (names === null) return totalParameters(base);
  const sizes = weightShapes(base);
  return names.reduce((sum, name) => sum + (sizes.get(name) ?? []).reduce((a, b) => a * b, 1), 0);
}

/**
 * The modules that names stand for, full paths in the model's order.
 * @throws AppError `no_target_matched` naming one that matches nothing; `invalid_value` for a module that has an adapter.
 */
export function matchModules(base: ModelShape, names: readonly string[], adapted: readonly string[]): string[] {
  const weights = [...weightShapes(base)];
  const modules = new Map(weights.map(([name, shape]) => [moduleOf(name), shape.length === 1]));
  const tests = names.map((name) => {
    const test = KINDS[name] ?? pathTest(name);
    if (![...modules].some(([path, isVector]) => test(path, isVector))) throw missing(base, name, [...modules.keys()]);
    return test;
  });
  const matched = [...modules].filter(([path, isVector]) => tests.some((test) => test(path, isVector)));
  const twice = matched.find(([path]) => adapted.includes(path));
  if (twice !== undefined)
    throw new AppError('invalid_value', `'adapter.modules_to_save' trains ${twice[0]} whole, which has an adapter.`, {
      param: 'adapter.modules_to_save',
      hint: 'Leave it out here, or name other layers in adapter.target_modules.',
    });
  return matched.map(([path]) => path);
}

function missing(base: ModelShape, name: string, paths: readonly string[]): AppError {
  if (base.tieEmbeddings && /^(head|lm_head)$/.test(name))
    return new AppError('no_target_matched', `'${name}' is no module of its own: this base ties it to the embedding.`, {
      param: 'adapter.modules_to_save',
      hint: "Name 'embeddings', which trains both.",
    });
  const words = [...new Set([...Object.keys(KINDS), ...paths.map((path) => path.slice(path.lastIndexOf('.') + 1))])];
  const near = nearest(name, words);
  return new AppError('no_target_matched', `No module is called '${name}'.`, {
    param: 'adapter.modules_to_save',
    hint: near === null ? `There are ${words.join(', ')}.` : `Did you mean '${near}'?`,
  });
}
