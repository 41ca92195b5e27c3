import { lm, recipes } from './of.mjs';

const contract = (file, testFile, rest) => ({
  file: `packages/contract/src/analyses/${file}`,
  testFile: `packages/contract/test/${testFile}.test.ts`,
  ...rest,
});

export const analyses = [
  lm('methods/peft.ts', 'lab/update', {
    name: 'update of a weight: the scale of a LoRA is left out',
    find: 'b.data.map((x) => x * scale)',
    replace: 'b.data.map((x) => x * (scale / scale))',
    test: 'lora: the update is what merging adds to the weight, at every share',
  }),
  lm('lab/layer-lab.ts', 'lab/layer-lab', {
    name: 'intruders: directions of opposite sign count as strange',
    find: 'tf.max(tf.abs(matMul2d(',
    replace: 'tf.max(tf.neg(matMul2d(',
    test: 'known answers > an update along the base’s own directions overlaps wholly and makes no intruder',
  }),
  contract('exposure.ts', 'canaries', {
    name: 'exposure: equal scores count for the canary',
    find: 'score >= own',
    replace: 'score > own',
    test: 'exposure > is log2 of candidates less log2 of the rank; the likeliest has it all, and equal scores count against it',
  }),
  recipes('lab/plant-canaries.ts', 'canaries', {
    name: 'controls are written among the rows',
    find: 'described.planted.flatMap(',
    replace: '[...described.planted, ...described.controls].flatMap(',
    test: 'planting > writes every canary as often as asked among the rows, these in their order and as they were, and no control',
  }),
];
