import { data, recipes, services } from './of.mjs';

export const rows = [
  data('label-row.ts', 'encode-row', {
    name: 'the prompt is learned too',
    find: 'labels: ids.map((id, i) => (i < promptLength ? IGNORED : id))',
    replace: 'labels: ids.map((id, i) => (i < 0 * promptLength ? IGNORED : id))',
    test: 'what is learned of a row > of prompt and completion end to end: the completion and an end token',
  }),
  data('packing.ts', 'layout', {
    name: 'packing: a row that fills a sequence exactly opens another',
    find: 'let room = length;',
    replace: 'let room = length + 1;',
    test: 'packing puts each row where the least room is left',
  }),
  data('batch.ts', 'batch', {
    name: 'packing: a document that the row’s end cuts is not shown again',
    find: 'if (taken === document.length || startsRow) i += 1;',
    replace: 'i += 1;',
    test: 'packing > a row starts at a document; a cut document is shown again whole',
  }),
  data('batch.ts', 'batch', {
    name: 'padding has a document’s segment',
    find: 'segments: new Int32Array(size).fill(-1)',
    replace: 'segments: new Int32Array(size)',
    test: 'collate > pads to the longest row, rounded up, with ignored labels and a segment of their own',
  }),
  data('tokenizer-json.ts', 'tokenizer', {
    name: 'tokenizer: digits are not split',
    find: "isIndividual === true ? '\\\\p{N}' : '\\\\p{N}+'",
    replace: "isIndividual === true ? '\\\\p{N}+' : '\\\\p{N}'",
    test: 'digits are split one by one, or stay together where the base says so',
  }),
  data('bpe.ts', 'bpe', {
    name: 'merges: a pair that a merge made on its left is not looked at',
    find: '    offer(before[i] as number);\n',
    replace: '',
    test: 'generated tokenizer 22 gives the ids of Hugging Face',
  }),
  data('tokenizer-json.ts', 'bpe', {
    name: 'tokenizer: what JavaScript takes for white space is stripped',
    find: "if (type !== 'Strip') return normalizer;",
    replace: "if (type !== 'strip') return normalizer;",
    test: 'generated tokenizer 18 gives the ids of Hugging Face',
  }),
  data('text-encoder.ts', 'tokenizer', {
    name: 'tokenizer: the first part of a text is kept as any other',
    find: 'i === 0 ? kept[0] : kept[1]',
    replace: 'i === 0 ? kept[1] : kept[1]',
    test: 'a text has its tokens wherever else it stood before: behind a special token, or first with a space before it',
  }),
  data('check-base.ts', 'check-base', {
    name: 'a base is registered whose tokenizer no run can load',
    find: 'await loadBaseTokenizer(async (name) => folder.text(name, bytesMax), asked.vocabSize);',
    replace: 'await loadBaseTokenizer(async (name) => folder.text(name, bytesMax), Number.MAX_SAFE_INTEGER);',
    test: 'a base whose tokenizer makes tokens that it has no row for is refused',
  }),
  services('training/dry-run.ts', 'dry-run', {
    name: 'dry run: steps are counted on the lines of the file',
    find: 'training.map((file) => file.rows),',
    replace: 'training.map((file) => file.rows_read),',
    test: 'a dry run says what the run will change in its rows, and counts steps on the rows that are trained on',
  }),
  data('row-order.ts', 'row-order', {
    name: 'order of rows: each epoch begins where the last began',
    find: 'epochOrder(rows, seed, epoch)',
    replace: 'epochOrder(rows, seed, 0)',
    test: 'steps take the rows of the epochs’ shuffled orders, end to end and each in its place',
  }),
  data('row-order.ts', 'row-order', {
    name: 'order of rows: the rows of a step are reversed',
    find: '(step - 1) * batchSize + i)',
    replace: 'step * batchSize - 1 - i)',
    test: 'steps take the rows of the epochs’ shuffled orders, end to end and each in its place',
  }),
  data('row-order.ts', 'row-order', {
    name: 'resume cursor: one step back',
    find: '(step - 1) * batchSize + i)',
    replace: 'Math.max(0, step - 2) * batchSize + i)',
    test: 'steps take the rows of the epochs’ shuffled orders, end to end and each in its place',
  }),
  recipes('checkpoint.ts', 'checkpoint', {
    name: 'resume: a base that changed is gone on with',
    find: '  refuseOtherBase(state, expected.base);\n',
    replace: '',
    test: 'a checkpoint > of a base that changed is refused by the name of what changed; one from before the hashes is taken',
  }),
  recipes('weight-bytes.ts', 'checkpoint', {
    name: 'weights that are not finite are trained on',
    find: 'refuseNonFinite({ ...slice, name }, piece, from);',
    replace: '',
    test: 'the hashes of a base > are not made of weights with NaN: a run on them is refused by the tensor and the place in it',
  }),
  recipes('export/parity.ts', 'parity', {
    name: 'exports: what differs from what was trained is let through',
    find: 'if (apart <= bound * size) return null;',
    replace: 'if (apart <= 1e9) return null;',
    test: 'a run > whose file does not hold what was trained fails, names the export and the figure, and leaves no folder of it',
  }),
  recipes('export/make-export.ts', 'make-export', {
    name: 'exports: a LoRA that misses too much of the update is given',
    find: 'if (error.total > maxError)',
    replace: 'if (error.total > 1)',
    test: 'an update as a LoRA of a rank > that misses too much is refused with the figures, unless that is allowed',
  }),
  recipes('export/merged.ts', 'exports', {
    name: 'merged/ ties a head that differs from the embedding',
    find: 'config.tieEmbeddings || json.tie_word_embeddings !== true',
    replace: 'true',
    test: 'a head that differs from the embedding, though config.json ties them, is trained with, kept in merged/, and no longer tied there',
  }),
  {
    name: 'rotary theta: the outer one counts',
    file: 'packages/contract/src/architectures/rope.ts',
    find: "rope?.has('rope_theta') ? rope : config",
    replace: 'config',
    testFile: 'packages/contract/test/plan.test.ts',
    test: 'the inner one of two thetas counts',
  },
  recipes('train.ts', 'sft', {
    name: 'resume cursor: a resumed run begins with the rows of the first step',
    find: 'stepBatches.at(trainer.steps + 1)',
    replace: 'stepBatches.at(trainer.steps - startStep + 1)',
    test: 'a run with lora > repeats, resumed with dropout from another process, the losses of the uninterrupted run bit for bit',
  }),
  recipes('train.ts', 'run-rows', {
    name: 'resume cursor: tokens are counted from nothing',
    find: 'resumed?.trainedTokens ?? 0',
    replace: '0',
    test: 'a run that is resumed counts on from the tokens it had trained on',
  }),
  recipes('sft.ts', 'run-rows', {
    name: 'order of rows: one method sees those of a step reversed',
    find: '    rows,\n    rowsOf,\n',
    replace:
      "    rows,\n    rowsOf: (step) => (config.adapter.type === 'mora' ? rowsOf(step).toReversed() : rowsOf(step)),\n",
    test: 'a run with mora type 6 learns from the rows of a step in their order, to the bit',
  }),
];
