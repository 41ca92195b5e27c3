// Faults that somebody could write, and for each the test that must see it. A mutation is a text that is in its file exactly once, what
// replaces it, and the full name of a test (`describe > test`) of the same package.
import { analyses } from './mutations/analyses.mjs';
import { checks } from './mutations/checks.mjs';
import { durable } from './mutations/durable.mjs';
import { experiments } from './mutations/experiments.mjs';
import { files } from './mutations/files.mjs';
import { learning } from './mutations/learning.mjs';
import { moving } from './mutations/moving.mjs';
import { product } from './mutations/product.mjs';
import { rows } from './mutations/rows.mjs';
import { serving } from './mutations/serving.mjs';

export const mutations = [
  ...learning,
  ...analyses,
  ...rows,
  ...files,
  ...product,
  ...durable,
  ...experiments,
  ...serving,
  ...moving,
  ...checks,
];
