import { beginOfMark, type CallForm, callOf, readEnclosed, readJson, skipBlank } from './call-form.js';

const isMap = (value: unknown): value is Map<unknown, unknown> => value instanceof Map;

/** `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, one for each call: Hermes, Qwen2.5, Qwen3. */
export const taggedJson: CallForm = {
  name: 'JSON in <tool_call>',
  marks: ['<tool_call>', '</tool_call>'],
  beginOf: (text, isWhole) => beginOfMark(text, '<tool_call>', isWhole),
  readCalls: (text, _tools, isWhole) =>
    readEnclosed(text, { open: '<tool_call>', close: '</tool_call>' }, isWhole, (inner) => callOf(readJson(inner))),
};

const LIST = '[TOOL_CALLS]';

/** `[TOOL_CALLS] [{"name": …, "arguments": {…}, "id": …}, …]` to the end of the answer: Mistral. */
export const listedJson: CallForm = {
  name: 'a JSON list behind [TOOL_CALLS]',
  marks: [LIST],
  beginOf: (text, isWhole) => beginOfMark(text, LIST, isWhole),
  readCalls(text) {
    const list = text.startsWith(LIST) ? readJson(text.slice(LIST.length)) : undefined;
    const calls = Array.isArray(list) ? list.map(callOf) : [];
    return calls.every((call) => call !== null) && calls.length > 0
      ? { calls, end: text.length }
      : { calls: [], end: 0 };
  },
};

const PYTHON = '<|python_tag|>';

/** `{"name": …, "parameters": {…}}` as the whole answer, of a tool that the request has: Llama 3.1 and later. */
export const bareJson: CallForm = {
  name: 'JSON alone',
  marks: [PYTHON],
  beginOf(text, isWhole) {
    const at = skipBlank(text, 0);
    if (text.startsWith('{', at) || text.startsWith(PYTHON, at)) return 0;
    const mayBegin = !isWhole && PYTHON.startsWith(text.slice(at));
    return mayBegin ? 0 : text.length;
  },
  readCalls(text, tools, isWhole) {
    const at = skipBlank(text, 0);
    const call = isWhole ? callOf(readJson(text.slice(text.startsWith(PYTHON, at) ? at + PYTHON.length : at))) : null;
    const isKnown = tools.some((tool) => nameOf(tool) === call?.name);
    return call !== null && isKnown ? { calls: [call], end: text.length } : { calls: [], end: 0 };
  },
};

function nameOf(tool: unknown): unknown {
  const called = isMap(tool) ? tool.get('function') : (tool as { function?: unknown } | null)?.function;
  return isMap(called) ? called.get('name') : (called as { name?: unknown } | undefined)?.name;
}

const DEEPSEEK = {
  open: '<｜tool▁calls▁begin｜>',
  close: '<｜tool▁calls▁end｜>',
  each: { open: '<｜tool▁call▁begin｜>', close: '<｜tool▁call▁end｜>' },
  between: '<｜tool▁sep｜>',
};

/** A kind, a name and a fenced JSON text between marks of its own: DeepSeek V3 and R1. */
export const fencedJson: CallForm = {
  name: 'fenced JSON between marks',
  marks: [DEEPSEEK.open, DEEPSEEK.close, DEEPSEEK.each.open, DEEPSEEK.each.close, DEEPSEEK.between],
  beginOf: (text, isWhole) => beginOfMark(text, DEEPSEEK.open, isWhole),
  readCalls(text, _tools, isWhole) {
    const from = DEEPSEEK.open.length;
    const { calls, end } = readEnclosed(text.slice(from), DEEPSEEK.each, isWhole, (inner) => {
      const [, name, given] = /<｜tool▁sep｜>([^\n]+)\n```json\n([\s\S]*?)\n?```\s*$/.exec(inner) ?? [];
      return name !== undefined && given !== undefined && isMap(readJson(given)) ? { name, arguments: given } : null;
    });
    const close = skipBlank(text, from + end);
    return { calls, end: text.startsWith(DEEPSEEK.close, close) ? close + DEEPSEEK.close.length : from + end };
  },
};
