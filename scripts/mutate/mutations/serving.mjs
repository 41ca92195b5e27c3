import { data, lm } from './of.mjs';

const inference = (file, rest) => ({
  file: `apps/inference/src/${file}`,
  testFile: 'apps/inference/test/inference.test.ts',
  ...rest,
});

export const serving = [
  lm('generation/rows.ts', 'constraint', {
    name: 'served JSON: the mask of a constraint is not looked at',
    find: 'row.constraint?.mask(row.ids) ?? null',
    replace: 'null',
    test: 'whatever the sampler draws, an answer that ends by itself is an object',
  }),
  lm('generation/constraint/vocabulary.ts', 'constraint', {
    name: 'served JSON: a token is judged from its first byte',
    find: 'if (read === bytes.length) mask[id] = 1;',
    replace: 'if (read >= 1) mask[id] = 1;',
    test: 'a mask has the tokens whose every byte can follow, and no other',
  }),
  lm('generation/score-prompt.ts', 'generation', {
    name: 'served scores: a prompt token is scored at its own place',
    find: 'prompt.slice(from + 1, from + 1 + count)',
    replace: 'prompt.slice(from, from + count)',
    test: 'plain > the tokens of a prompt are scored as a full pass scores them, beside an answer under way',
  }),
  data('calls/value-calls.ts', 'calls', {
    name: 'served calls: texts that look like numbers become numbers',
    find: "if (kind === 'string') return text;",
    replace: '',
    test: 'calls of answers > what training learns under trl/glm4moe reads as the calls of the row',
  }),
  data('calls/call-form.ts', 'calls', {
    name: 'served calls: the first closing mark ends a call, whatever is in it',
    find: 'if (call !== null) return { call, end: place + close.length };',
    replace: 'return call === null ? null : { call, end: place + close.length };',
    test: 'calls of answers > what training learns under trl/qwen3 reads as the calls of the row',
  }),
  inference('chat.ts', {
    name: 'served tools: numbers are those of the parser',
    find: 'readConversation(request, json)',
    replace: 'readConversation(request, JSON.stringify(JSON.parse(json)))',
    test: 'tools > tools and earlier calls are written as training writes them, numbers and order of keys as they came',
  }),
  inference('chat.ts', {
    name: 'served calls: parallel_tool_calls is not kept',
    find: 'reading?.isParallel === false &&',
    replace: 'reading === undefined &&',
    test: 'tools > without parallel calls an answer ends after its first',
  }),
  inference('text.ts', {
    name: 'served texts: the token that ends an answer is not told',
    find: 'withEnding: true,',
    replace: 'withEnding: false,',
    test: 'as transformers > the prompt of case 1 is scored token by token, and answered alike',
  }),
  inference('create-inference.ts', {
    name: 'served answers: a caller that leaves ends nothing',
    find: "reply.raw.once('close', () => answers.cancel());",
    replace: '',
    test: 'the stock client 6.49.0 > a stream that is left half way frees the rows of all its answers',
  }),
];
