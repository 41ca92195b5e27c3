// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of source code
import { data, lm, recipes } from './of.mjs';

const inference = (file, rest) => ({
  file: `apps/inference/src/${file}`,
  testFile: 'apps/inference/test/inference.test.ts',
  ...rest,
});

const process = (file, rest) => inference(file, { testFile: 'apps/inference/test/process.test.ts', ...rest });
const wish = (rest) => ({
  file: 'apps/cli/src/up/serve-on-wish.ts',
  testFile: 'apps/cli/test/serve-on-wish.test.ts',
  ...rest,
});
const proxy = (file, rest) => ({ file: `apps/api/src/${file}`, testFile: 'apps/api/test/serving.test.ts', ...rest });

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
  lm('generation/held-rows.ts', 'chunks', {
    name: 'served prefixes: what one tenant asked is used for another',
    find: 'held.tenant !== tenant ||',
    replace: '',
    test: 'what is held > is used for nobody of another tenant',
  }),
  lm('generation/held-rows.ts', 'chunks', {
    name: 'served prefixes: what one adapter computed is used for another',
    find: ' || held.adapter !== adapter',
    replace: '',
    test: 'what is held > is used for no other adapter, nor for one that was loaded in its name since',
  }),
  lm('generation/passes.ts', 'chunks', {
    name: 'served prefixes: rows that do not answer are written to at their beginning',
    find: '.fill(plan.contextMax - 1)',
    replace: '',
    test: 'what is held > stays as it is while others decode beside it, and what is cancelled half way is held as far as it was read',
  }),
  lm('generation/batcher.ts', 'chunks', {
    name: 'served prompts: a long prompt is read to its end at once',
    find: 'heldBy(seat));\n      enter(seat);',
    replace: 'heldBy(seat));\n      enter(seat);\n      if (leftOf(seat) > 1) readNext();',
    test: 'beside others > a long prompt is read a chunk between two tokens of a stream',
  }),
  lm('generation/passes.ts', 'chunks', {
    name: 'served prompts: the step that reads the last token of a prompt is fed another',
    find: 'row.prompt[read] ?? ',
    replace: '',
    test: 'beside others > a prompt of which only the last token is left goes on with the next step, and is answered alike',
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
  recipes('serve/residents.ts', 'serve/served', {
    name: 'loaded adapters: two loads at once make two entries',
    find: 'entries.set(id, entry);',
    replace: 'setImmediate(() => entries.set(id, entry));',
    test: 'what is loaded > is loaded once, however many ask for it at the same time',
  }),
  recipes('serve/residents.ts', 'serve/served', {
    name: 'loaded adapters: what comes back while it leaves goes all the same',
    find: "if (entry.state === 'leaving') comeBack(entry);",
    replace: 'if (entry.state === "leaving") forget(entry);',
    test: 'what is loaded > answers when it is loaded again while its last answers are under way',
  }),
  process('trained.ts', {
    name: 'process: an id is known for ever, also after it was unloaded',
    find: 'id !== undefined && served.isInMemory(id)',
    replace: 'id !== undefined',
    test: 'one that was unloaded is brought anew by the next request, and what another tenant has pinned stays',
  }),
  process('trained.ts', {
    name: 'pins: an unload of one tenant takes what another has pinned',
    find: 'if (id === null || pins.of(id).length > 0) return;',
    replace: 'if (id === null) return;',
    test: 'one that was unloaded is brought anew by the next request, and what another tenant has pinned stays',
  }),
  process('served-for.ts', {
    name: 'process: a base that is not here is answered for',
    find: 'if (sha256 === baseSha256) return;',
    replace: 'if (sha256 !== "") return;',
    test: 'only the cluster may ask, by the secret of this process, and only for its base',
  }),
  process('registration.ts', {
    name: 'process: one that was given up stays lost',
    find: 'if (await heartbeatProcess(s, id, news)) return;',
    replace: 'await heartbeatProcess(s, id, news); return;',
    test: 'one that was given up for lost registers again with its next sign of life',
  }),
  process('start-process.ts', {
    name: 'process: one that is to end breaks off what it answers',
    find: 'while (requests.open() > 0 && performance.now() < deadline) await sleep(20);',
    replace: '',
    test: 'asked to end, it takes nothing new, and first ends what it answers',
  }),
  process('start-process.ts', {
    name: 'process: one that has ended says nothing of it',
    find: 'await registration.end(null).catch(() => undefined);',
    replace: '',
    test: 'without requests it ends by itself, after what it answers, and its row says so',
  }),
  proxy('serving/under-way.ts', {
    name: 'proxy: what is under way here is not counted',
    find: 'counts.set(id, count(id) + 1);',
    replace: 'counts.set(id, count(id));',
    test: 'of several processes the one with the fewest requests is asked, those under way here counted',
  }),
  proxy('serving/ask-process.ts', {
    name: 'proxy: a process that hangs is waited for without end',
    find: 'AbortSignal.any([signal, life.lost])',
    replace: 'signal',
    test: 'a process that hangs, or whose machine is off, loses its requests once its lease is over: they may be sent again',
  }),
  wish({
    name: 'wishes: a process that makes room is asked to end again and again',
    find: 'if ([...kept.values()].some(({ isEnding }) => isEnding)) return false;',
    replace: '',
    test: 'one that makes room is asked once, however often the wish is said while it still answers',
  }),
  wish({
    name: 'wishes: the base that is asked all the time makes room for another',
    find: 'part?.idleMs?.() ?? Number.POSITIVE_INFINITY',
    replace: 'Number.POSITIVE_INFINITY',
    test: 'a base that is asked all the time stays, though nobody had to wish for it again',
  }),
  lm('generation/turns.ts', 'turns', {
    name: 'served turns: a request of many answers takes every row',
    find: 'rows[1] >= fewest[1]',
    replace: 'true',
    test: 'a request that has no row goes before one of the same tenant that has, and in order where both have as many',
  }),
  proxy('serving/proxy-answer.ts', {
    name: 'proxy: a stream that breaks off ends as if it were whole',
    find: 'yield `data: ${JSON.stringify(errorBody(ended()))}\\n\\n`;',
    replace: 'return;',
    test: 'a stream whose process dies ends with an event that says so',
  }),
  proxy('serving/proxy-answer.ts', {
    name: 'proxy: a process that nobody finds is asked for ever',
    find: 'await forget(s, process);',
    replace: 'throw ended();',
    test: 'a process that nobody finds at its address is forgotten, and the next one answers',
  }),
  proxy('serving/gone-of.ts', {
    name: 'proxy: a caller that leaves goes on being answered',
    find: "raw.once('close', () => gone.abort());",
    replace: '',
    test: 'a caller that leaves ends its answer in the process',
  }),
  proxy('serving/change-residency.ts', {
    name: 'pins: only one process is told',
    find: 'processes.map((process) => ask(s, process, model, act, signal))',
    replace: 'processes.slice(0, 1).map((process) => ask(s, process, model, act, signal))',
    test: 'pin, unpin and unload reach every process of the base by content, and none of another project',
  }),
  proxy('serving/change-residency.ts', {
    name: 'pins: a refusal of a process is lost',
    find: "if (one.status === 'rejected') throw one.reason;",
    replace: '',
    test: 'what a process refuses to pin is told in its words, and without a process nothing is pinned',
  }),
];
