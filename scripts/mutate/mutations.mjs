// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of source code
// Faults that somebody could write, and for each the test that must see it. A mutation is a text that is in its file exactly once, what
// replaces it, and the full name of a test (`describe > test`) of the same package.

const lm = (file, testFile, rest) => ({
  file: `packages/lm/src/${file}`,
  testFile: `packages/lm/test/${testFile}.test.ts`,
  ...rest,
});
const data = (file, testFile, rest) => ({
  file: `packages/data/src/${file}`,
  testFile: `packages/data/test/${testFile}.test.ts`,
  ...rest,
});
const recipes = (file, testFile, rest) => ({
  file: `packages/recipes/src/${file}`,
  testFile: `packages/recipes/test/${testFile}.test.ts`,
  ...rest,
});
const services = (file, testFile, rest) => ({
  file: `packages/services/src/${file}`,
  testFile: `packages/services/test/${testFile}.test.ts`,
  ...rest,
});

const learning = [
  lm('model.ts', 'model', {
    name: 'attention mask: a token sees the next one',
    find: 'const future = tf.greater(tf.reshape(steps, [1, 1, 1, time]), tf.reshape(steps, [1, 1, time, 1]));',
    replace:
      'const future = tf.greater(tf.reshape(steps, [1, 1, 1, time]), tf.add(tf.reshape(steps, [1, 1, time, 1]), tf.scalar(1, "int32")));',
    test: 'a token does not see the ones after it',
  }),
  lm('model.ts', 'trainer', {
    name: 'attention mask: documents see each other',
    find: 'tf.logicalOr(other, future)',
    replace: 'tf.logicalOr(future, future)',
    test: 'documents packed into one row train as documents in rows of their own',
  }),
  lm('batch.ts', 'golden', {
    name: 'label shift: a token predicts itself',
    find: 'const label = labels[at + 1] ?? IGNORED;',
    replace: 'const label = labels[at] ?? IGNORED;',
    test: 'PyTorch and plain > llama-tied, lora: logits, loss and every gradient agree, packed or not',
  }),
  lm('batch.ts', 'trainer', {
    name: 'a document predicts the first token of the next',
    find: 'if (segments[at] !== segments[at + 1]) continue;',
    replace: '',
    test: 'documents packed into one row train as documents in rows of their own',
  }),
  lm('optim/clip.ts', 'golden', {
    name: 'clip: gradients are never scaled down',
    find: 'return tf.minimum(1, tf.div(normMax, tf.add(norm, 1e-6)));',
    replace: 'return tf.maximum(1, tf.div(normMax, tf.add(norm, 1e-6)));',
    test: 'PyTorch and plain > llama-tied, lora: ten losses and the parameters after them agree',
  }),
  lm('optim/adam.ts', 'optim', {
    name: 'bias correction of the second moment forgets its root',
    find: 'rootCorrection2: Math.sqrt(1 - beta2 ** step)',
    replace: 'rootCorrection2: 1 - beta2 ** step',
    test: 'adamw > twenty steps are those of its formula in double precision (plain, clipped and decayed)',
  }),
  lm('optim/decay.ts', 'golden', {
    name: 'weight decay on vectors',
    find: 'if (gradient.shape.length < 2) return gradient;',
    replace: '',
    test: 'PyTorch and plain > llama-tied, full: ten losses and the parameters after them agree',
  }),
  lm('optim/schedule.ts', 'optim', {
    name: 'schedule: the decay begins a step early',
    find: '(step - 1 - warmupSteps)',
    replace: '(step - warmupSteps)',
    test: 'the learning rate of a step, counted from 1 > keeps its peak in the step after warm-up',
  }),
  lm('optim/schedule.ts', 'optim', {
    name: 'schedule: the warm-up begins a step late',
    find: '(learningRate * step) / warmupSteps',
    replace: '(learningRate * (step - 1)) / warmupSteps',
    test: 'the learning rate of a step, counted from 1 > warms up on a line and reaches its peak with the last step of it',
  }),
  lm('optim/schedule.ts', 'optim', {
    name: 'schedule: the decay ends a step early',
    find: 'Math.max(1, totalSteps - warmupSteps)',
    replace: 'Math.max(1, totalSteps - 1 - warmupSteps)',
    test: 'the learning rate of a step, counted from 1 > falls by equal parts',
  }),
  lm('optim/clip.ts', 'optim', {
    name: 'clip: the factor is twice the maximum over the norm',
    find: 'tf.div(normMax, tf.add(norm, 1e-6))',
    replace: 'tf.div(2 * normMax, tf.add(norm, 1e-6))',
    test: 'adamw > twenty steps are those of its formula in double precision (plain, clipped and decayed)',
  }),
  lm('optim/clip.ts', 'optim', {
    name: 'clip: the norm is a sum of absolute values',
    find: 'tf.sum(tf.square(grad))',
    replace: 'tf.sum(tf.abs(grad))',
    test: 'the global norm is that of all gradients together',
  }),
  lm('step.ts', 'optim', {
    name: 'clip: the norm is of the sums, not of the means',
    find: 'tf.mul(globalNorm(gradients.map(({ sum }) => sum)), perToken)',
    replace: 'tf.mul(globalNorm(gradients.map(({ sum }) => sum)), 1)',
    test: 'adamw > twenty steps are those of its formula in double precision (plain, clipped and decayed)',
  }),
  lm('optim/optimizer.ts', 'optim', {
    name: 'links of an optimiser run in the reverse order',
    find: 'links.reduce((given, link)',
    replace: 'links.reduceRight((given, link)',
    test: 'links run in the order given, each on what the one before left',
  }),
  lm('optim/adam.ts', 'optim', {
    name: 'bias correction of the first moment is left out',
    find: 'correction1: 1 - beta1 ** step',
    replace: 'correction1: 1 - 0 ** step',
    test: 'adamw > twenty steps are those of its formula in double precision (plain, clipped and decayed)',
  }),
  lm('optim/adam.ts', 'optim', {
    name: 'a fused update starts from the value before decay',
    find: 'start: value,',
    replace: 'start: value && undefined,',
    test: 'adamw > twenty steps are those of its formula in double precision (plain, clipped and decayed)',
  }),
  lm('step.ts', 'optim', {
    name: 'sums of gradients: not zeroed after a step',
    find: 'tf.fill([...shape], 0)',
    replace: 'tf.fill([...shape], 1)',
    test: 'adamw > twenty steps are those of its formula in double precision (plain, clipped and decayed)',
  }),
  lm('run-step.ts', 'trainer', {
    name: 'sums of gradients: what a failed step added is kept',
    find: 'if (!areSumsZero) session.write(',
    replace: 'if (areSumsZero && !areSumsZero) session.write(',
    test: 'a step that fails half way leaves nothing for the next to add to',
  }),
  lm('run-step.ts', 'golden', {
    name: 'learning rate: every step has that of the first',
    find: 'learningRateAt(schedule, number)',
    replace: 'learningRateAt(schedule, Math.min(1, number))',
    test: 'PyTorch and plain > llama-tied, lora: ten losses and the parameters after them agree',
  }),
  lm('run-step.ts', 'golden', {
    name: 'scalars of the optimiser: every step has those of the first',
    find: 'optimizer.scalarsAt(number)',
    replace: 'optimizer.scalarsAt(Math.min(1, number))',
    test: 'PyTorch and plain > llama-tied, lora: ten losses and the parameters after them agree',
  }),
  lm('run-step.ts', 'trainer', {
    name: 'dropout: the mask does not depend on the step',
    find: 'mix32(seed, step, index)',
    replace: 'mix32(seed, 0 * step, index)',
    test: 'dropout changes the loss from step to step and the seed decides how',
  }),
  lm('run-step.ts', 'trainer', {
    name: 'dropout: micro-batches of a step have one mask',
    find: 'mix32(seed, step, index)',
    replace: 'mix32(seed, step, 0 * index)',
    test: 'dropout changes the loss from step to step and the seed decides how',
  }),
  lm('run-step.ts', 'trainer', {
    name: 'dropout: the mask does not depend on the seed',
    find: 'mix32(seed, step, index)',
    replace: 'mix32(0 * seed, step, index)',
    test: 'dropout changes the loss from step to step and the seed decides how',
  }),
  lm('trainer.ts', 'trainer', {
    name: 'resume cursor: a loaded trainer counts from its first step',
    find: 'steps = state.step;',
    replace: 'steps = 0 * state.step;',
    test: 'LoRA with dropout: a resumed run repeats the uninterrupted one bit for bit',
  }),
  lm('trainer-state.ts', 'trainer', {
    name: 'saved state: its tensors of the optimiser are not counted',
    find: 'state.optimizer.size !== shapes.optimizer.size',
    replace: 'state.optimizer.size < shapes.optimizer.size',
    test: 'a state of another optimiser is refused, and nothing of it is written',
  }),
  lm('trainer-state.ts', 'trainer', {
    name: 'saved state: its variables are not counted',
    find: 'state.trainable.size !== shapes.trainable.size',
    replace: 'state.trainable.size < shapes.trainable.size',
    test: 'a state of more variables is refused, and nothing of it is written',
  }),
  lm('trainer-state.ts', 'trainer', {
    name: 'saved state: shapes are not compared',
    find: 'tensor.shape.join() === shape.join()',
    replace: 'tensor.shape.length === shape.length',
    test: 'a state of another method is refused by name of the difference',
  }),
  lm('trainer-state.ts', 'trainer', {
    name: 'saved state: the optimiser’s part is not written',
    find: "for (const part of ['trainable', 'optimizer'] as const)",
    replace: "for (const part of ['trainable'] as const)",
    test: 'LoRA with dropout: a resumed run repeats the uninterrupted one bit for bit',
  }),
  lm('net.ts', 'trainer', {
    name: 'dropout: every step has the same mask',
    find: "const siteSeed = tf.add(seed, tf.tensor1d([0, site], 'int32'));",
    replace: "const siteSeed = tf.add(tf.zerosLike(seed), tf.tensor1d([0, site], 'int32'));",
    test: 'dropout changes the loss from step to step and the seed decides how',
  }),
  lm('ops.ts', 'gradients', {
    name: 'the norm’s gradient lacks a factor',
    find: 'tf.mul(keptX, tf.mul(inner, tf.mul(tf.square(scale), scale)))',
    replace: 'tf.mul(keptX, tf.mul(inner, tf.square(scale)))',
    test: 'the norm has the gradients of its formula, with a trained and a frozen weight',
  }),
  lm('methods/lora.ts', 'golden', {
    name: 'scale of LoRA: rank instead of its root under rsLoRA',
    find: 'use_rslora ? Math.sqrt(rank) : rank',
    replace: 'rank',
    test: 'PyTorch and plain > llama-tied, lora-rs: logits, loss and every gradient agree, packed or not',
  }),
  lm('methods/mora.ts', 'golden', {
    name: 'angle of MoRA: the base of the rotation',
    find: '10_000 ** ((-2 * t) / side)',
    replace: '10_000 ** ((-t) / side)',
    test: 'PyTorch and plain > llama-tied, mora-6: logits, loss and every gradient agree, packed or not',
  }),
  lm('merge.ts', 'methods', {
    name: 'merge: the identity begins in the wrong column',
    find: 'unit[row * inDim + first + row] = 1',
    replace: 'unit[row * inDim + row] = 2',
    test: 'lora: the merged model computes what base and adapter compute',
  }),
  lm('generation/sampling.ts', 'sampling', {
    name: 'top-p: the token that reaches it is left out',
    find: 'ids.slice(0, last + 1)',
    replace: 'ids.slice(0, Math.max(1, last))',
    test: 'topK keeps the likeliest, and topP those of them that reach it',
  }),
];

const rows = [
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
  data('tokenizer.ts', 'tokenizer', {
    name: 'tokenizer: digits are not split',
    find: "isIndividual === true ? '\\\\p{N}' : '\\\\p{N}+'",
    replace: "isIndividual === true ? '\\\\p{N}+' : '\\\\p{N}'",
    test: 'digits are split one by one, or stay together where the base says so',
  }),
  recipes('row-order.ts', 'row-order', {
    name: 'order of rows: each epoch begins where the last began',
    find: 'epochOrder(rows, seed, epoch)',
    replace: 'epochOrder(rows, seed, 0)',
    test: 'steps take the rows of the epochs’ shuffled orders, end to end and each in its place',
  }),
  recipes('row-order.ts', 'row-order', {
    name: 'order of rows: the rows of a step are reversed',
    find: 'picked.push(order[i % rows] ?? 0);',
    replace: 'picked.unshift(order[i % rows] ?? 0);',
    test: 'steps take the rows of the epochs’ shuffled orders, end to end and each in its place',
  }),
  recipes('row-order.ts', 'row-order', {
    name: 'resume cursor: one step back',
    find: 'let i = (step - 1) * batchSize; i < step * batchSize;',
    replace: 'let i = Math.max(0, step - 2) * batchSize; i < Math.max(1, step - 1) * batchSize;',
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
  recipes('exports.ts', 'exports', {
    name: 'merged/ ties a head that differs from the embedding',
    find: "  sayUntied(join(dir, 'config.json'), base);\n",
    replace: '',
    test: 'a head that differs from the embedding, though config.json ties them, is trained with, kept in merged/, and no longer tied there',
  }),
  {
    name: 'rotary theta: the outer one counts',
    file: 'packages/contract/src/architectures/llama.ts',
    find: "(rope?.has('rope_theta') ? rope : config)",
    replace: 'config',
    testFile: 'packages/contract/test/plan.test.ts',
    test: 'the inner one of two thetas counts',
  },
  recipes('sft.ts', 'sft', {
    name: 'resume cursor: a resumed run begins with the rows of the first step',
    find: 'stepBatches.at(trainer.steps + 1)',
    replace: 'stepBatches.at(trainer.steps - startStep + 1)',
    test: 'a run with lora > repeats, resumed with dropout from another process, the losses of the uninterrupted run bit for bit',
  }),
  recipes('sft.ts', 'run-rows', {
    name: 'resume cursor: tokens are counted from nothing',
    find: 'resumed?.trainedTokens ?? 0',
    replace: '0',
    test: 'a run that is resumed counts on from the tokens it had trained on',
  }),
  recipes('sft.ts', 'run-rows', {
    name: 'order of rows: one method sees those of a step reversed',
    find: 'rowsOf: createRowOrder(rows.length, config.seed, config.batch_size),',
    replace:
      "rowsOf: (step) => {\n      const order = createRowOrder(rows.length, config.seed, config.batch_size)(step);\n      return config.adapter.type === 'mora' ? order.reverse() : order;\n    },",
    test: 'a run with mora type 6 learns from the rows of a step in their order, to the bit',
  }),
];

const product = [
  services('ground/secrets.ts', 'access/access', {
    name: 'key hashing: keys are stored as they are',
    find: "createHash('sha256').update(secret).digest('hex')",
    replace: "createHash('sha256') && secret",
    test: 'API keys > a key opens its project and is stored only as its hash',
  }),
  services('work/fence.ts', 'fence', {
    name: 'fence: the attempt’s number is not asked',
    find: 'WHERE t.id = $1 AND t.attempt = $2 AND a.worker_id = $3',
    replace: 'WHERE t.id = $1 AND $2::int > 0 AND a.worker_id = $3',
    test: 'the same worker that claims a run again makes the writes of its own older attempt bounce',
  }),
  services('work/claim.ts', 'attempts', {
    name: 'claim: the number does not grow',
    find: 'attempt = t.attempt + 1',
    replace: 'attempt = greatest(1, t.attempt)',
    test: 'leases > an attempt that stays silent is lost and its run is claimed again',
  }),
  services('work/claim.ts', 'attempts', {
    name: 'claim: the least busy project comes last',
    find: 'ORDER BY t.priority DESC, coalesce(b.running, 0),',
    replace: 'ORDER BY t.priority DESC, coalesce(b.running, 0) DESC,',
    test: 'claiming > a claim takes the highest priority, then the project with the fewest running runs, then the oldest',
  }),
  services('work/renew-lease.ts', 'fence', {
    name: 'lease: a renewal moves nothing',
    find: "now() + $4 * interval '1 millisecond'",
    replace: "a.lease_expires_at + 0 * $4 * interval '1 millisecond'",
    test: 'a renewal puts the end of the lease off, from now and by as long as it says',
  }),
  services('reconcile/leases.ts', 'attempts', {
    name: 'lease condition: a lease that still runs counts as expired',
    find: 'a.lease_expires_at < now()\n         FOR NO KEY UPDATE OF t SKIP LOCKED',
    replace: 'a.lease_expires_at > now()\n         FOR NO KEY UPDATE OF t SKIP LOCKED',
    test: 'leases > an expired lease passes through lost_contact, and a renewal takes the run back',
  }),
  services('work/fence.ts', 'attempts', {
    name: 'lease condition: an expiry does not look at the lease again',
    find: ' AND a.lease_expires_at < now()`',
    replace: '`',
    test: 'leases > a lease that is renewed while its end waits for the lock is not ended, also of a run that is being cancelled',
  }),
  services('work/transition.ts', 'attempts', {
    name: 'transition: a run that runs cannot be queued again',
    find: "running: ['queued', 'paused',",
    replace: "running: ['paused',",
    test: 'ends > faults of ours queue the run again until its budget of attempts is spent',
  }),
  services('work/verdict.ts', 'work/verdict', {
    name: 'verdict: the budget of attempts is one longer',
    find: 'facts.charged + 1 < facts.maxAttempts',
    replace: 'facts.charged < facts.maxAttempts',
    test: 'a fault that spends the budget fails the run',
  }),
  services('work/transition.ts', 'runs', {
    name: 'transition: a run that ended may be queued again',
    find: '  succeeded: [],',
    replace: "  succeeded: ['failed', 'cancelled'],",
    test: 'transitions > of a success and a failure at once one wins, and the end never changes',
  }),
  services('training/require-run.ts', 'runs', {
    name: 'project filter: a run of another project is found',
    find: 'id: runId, projectId: actor.projectId,',
    replace: 'id: runId,',
    test: 'another project > sees none of our files, runs and models, whichever verb it tries',
  }),
  services('work/require-task.ts', 'runs', {
    name: 'project filter: a task of another project is found',
    find: 'id: taskId, projectId: actor.projectId,',
    replace: 'id: taskId,',
    test: 'another project > sees none of our files, runs and models, whichever verb it tries',
  }),
  services('work/claim.ts', 'work/kinds', {
    name: 'claim: the kind of the task is not asked',
    find: 't.kind = ANY($5)',
    replace: '$5::text[] IS NOT NULL',
    test: 'a worker claims only tasks of the kinds that it can execute',
  }),
  services('training/train-kind.ts', 'attempts', {
    name: 'out of memory: the micro-batch stays as large',
    find: '[runId, 2 * accumulation]',
    replace: '[runId, accumulation]',
    test: 'ends > memory that ran out earns one try with half the micro-batch, then fails the run',
  }),
  services('reconcile/outbox.ts', 'reconcile/outbox', {
    name: 'wake-ups: only the first page of the backlog is offered',
    find: 'more = rows.length === PAGE;',
    replace: 'more = false;',
    test: 'after Redis was wiped every task of a long backlog is offered again, once',
  }),
  services('library/list-files.ts', 'ground/order', {
    name: 'paging cursor: items of one moment are passed over',
    find: '{ createdAt: from.createdAt, id: { [beyond]: from.id } },',
    replace: '',
    test: 'files of one moment are on one page each, in both directions',
  }),
  services('training/ingest-metrics.ts', 'metrics', {
    name: 'metrics: a batch that comes again counts again',
    find: 'n = r.n + EXCLUDED.n, sum = r.sum + EXCLUDED.sum,',
    replace: 'n = r.n + EXCLUDED.n + 1, sum = r.sum + EXCLUDED.sum,',
    test: 'an attempt that goes on from step 300 leaves each step once and exact roll-ups',
  }),
  services('training/rewind.ts', 'metrics', {
    name: 'rewind: the point of the step itself goes too',
    find: 'AND p.step > ${step}',
    replace: 'AND p.step >= ${step}',
    test: 'an attempt that goes on from step 300 leaves each step once and exact roll-ups',
  }),
  {
    name: 'SSE position: ids of one millisecond count as equal',
    file: 'packages/contract/src/client/events.ts',
    find: 'return aTime - bTime || aCount - bCount;',
    replace: 'return aTime - bTime || 0 * (aCount - bCount);',
    testFile: 'packages/contract/test/read-events.test.ts',
    test: 'ids of one millisecond have an order, and it is that of numbers',
  },
  services('work/offer-task.ts', 'queue', {
    name: 'wake-up id: every offer is another one',
    find: '`${offer.id}-${offer.submission}`',
    replace: '`${offer.id}-${Math.random()}`',
    test: 'offering a run twice gives one wake-up',
  }),
];

const checks = [
  {
    name: 'import check: circles of folders pass',
    file: 'scripts/house/graph.mjs',
    find: "if (state.get(node) === 'open') {",
    replace: "if (state.get(node) === 'never') {",
    testFile: 'scripts/test/checks.test.ts',
    test: 'import rules > folders that import each other are a circle although no two files do, and so are a folder and a file beside it',
  },
  {
    name: 'docs check: links are not looked at',
    file: 'scripts/check-docs.mjs',
    find: '!existsSync(path.join(folder, target))',
    replace: 'false',
    testFile: 'scripts/test/checks.test.ts',
    test: 'documents: missing paths, links and scripts are named with their line; what exists or is an example is not',
  },
  {
    name: 'redaction: a refused value is shown whole',
    file: 'packages/contract/src/validate.ts',
    find: 'text.length > 80 ?',
    replace: 'text.length > 8000 ?',
    testFile: 'packages/contract/test/validate.test.ts',
    test: 'a request that is refused > keeps a long value short',
  },
];

export const mutations = [...learning, ...rows, ...product, ...checks];
