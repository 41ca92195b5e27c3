import type { OpenAI } from 'openai';
import { describe, expect, test } from 'vitest';
import { CALL_ID, CALL_TEXT } from './calling-base.js';

export interface Context {
  client: OpenAI;
  /** The text of the prompt that was begun last. */
  lastPrompt(): string;
}

const look = (more: object = {}) => ({
  type: 'function' as const,
  function: { name: 'look', parameters: { at: 1.5 }, ...more },
});
const TOOLS = [look(), look({ name: 'look_twice' })];
const ASKED = [{ role: 'user' as const, content: 'Hello' }];
const calling = { model: 'base', messages: ASKED, tools: TOOLS, logit_bias: { [CALL_ID]: 100 } };
const LOOKED = { type: 'function', function: { name: 'look', arguments: '{"at": 1.0}' } };

/** Tools, their calls and answers of JSON, against `writeCallingBase` called 'base'. */
export function toolsSuite(of: () => Context): void {
  const create = (body: object) =>
    of().client.chat.completions.create(body as OpenAI.ChatCompletionCreateParamsNonStreaming);

  describe('tools', () => {
    test('calls of an answer are read, as many as it has', async () => {
      const { choices } = await create({ ...calling, max_tokens: 2 });
      const { message, finish_reason } = choices[0] ?? {};
      expect(message).toMatchObject({ content: null, tool_calls: [LOOKED, LOOKED] });
      expect(finish_reason).toBe('length');
      const ids = message?.tool_calls?.map(({ id }) => id) ?? [];
      expect(new Set(ids).size).toBe(2);
      for (const id of ids) expect(id).toMatch(/^[0-9a-f]{9}$/);
    });

    test('without parallel calls an answer ends after its first', async () => {
      const { choices, usage } = await create({ ...calling, max_tokens: 9, parallel_tool_calls: false });
      expect(choices[0]).toMatchObject({
        message: { content: null, tool_calls: [LOOKED] },
        finish_reason: 'tool_calls',
      });
      expect(usage?.completion_tokens).toBe(1);
    });

    test('a stream has each call with its place, as the stock client puts them together', async () => {
      const stream = of().client.chat.completions.stream({ ...calling, max_tokens: 2, n: 2 });
      const deltas: unknown[] = [];
      stream.on('chunk', (chunk) => deltas.push(...(chunk.choices[0]?.delta.tool_calls ?? [])));
      const { choices } = await stream.finalChatCompletion();
      expect(choices.map(({ message }) => message.tool_calls?.length)).toEqual([2, 2]);
      expect(choices[1]?.message).toMatchObject({ content: null, tool_calls: [LOOKED, LOOKED] });
      expect(deltas).toHaveLength(4);
      expect(deltas).toContainEqual(expect.objectContaining({ index: 1, ...LOOKED }));
    });

    test('what a stock client makes of a stream is taken back with the answer of the tool, and none of its own keys is written', async () => {
      const asked = { ...calling, max_tokens: 1 };
      const { choices } = await of().client.chat.completions.stream(asked).finalChatCompletion();
      const [{ message } = {}] = choices;
      expect(message).toHaveProperty('parsed');
      const calls = message?.tool_calls?.map((call) => ({
        ...call,
        index: 0,
        function: { ...call.function, parsed_arguments: null },
      }));
      const answer = { role: 'tool' as const, tool_call_id: calls?.[0]?.id ?? '', content: 'red' };
      const said = { ...message, role: 'assistant' as const, tool_calls: calls ?? [] };
      await create({ ...asked, messages: [...asked.messages, said, answer] });
      expect(of().lastPrompt()).toContain('= red');
      expect(of().lastPrompt()).not.toContain('parsed');
    });

    test('tools and earlier calls are written as training writes them, numbers and order of keys as they came', async () => {
      const body = `{"model": "base", "max_tokens": 1, "tools": [{"type": "function", "function":
        {"name": "look", "parameters": {"z": 1.0, "2": 12345678901234567890, "1": {}}}}], "messages": [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": null, "tool_calls": [
        {"id": "call00001", "type": "function", "function": {"name": "look", "arguments": "{\\"b\\":2.0,\\"a\\":1}"}}]},
        {"role": "tool", "tool_call_id": "call00001", "content": [{"type": "text", "text": "red"}]}]}`;
      await of().client.post('/chat/completions', { body, headers: { 'content-type': 'application/json' } });
      expect(of().lastPrompt()).toBe(
        [
          '{"name": "look", "parameters": {"z": 1.0, "2": 12345678901234567890, "1": {}}}\n<|user|>Hi<|assistant|>',
          '<tool_call>\n{"name": "look", "arguments": {"b": 2.0, "a": 1}}\n</tool_call><|end|><|user|>= red<|assistant|>',
        ].join(''),
      );
    });

    test('tool_choice none writes no tools and reads no calls', async () => {
      const { choices } = await create({ ...calling, max_tokens: 1, tool_choice: 'none' });
      expect(choices[0]?.message).toEqual({ role: 'assistant', content: CALL_TEXT, refusal: null });
      expect(of().lastPrompt()).toBe('<|user|>Hello<|assistant|>');
    });

    test.each([
      ['required', ['look', 'look_twice']],
      [{ type: 'function', function: { name: 'look_twice' } }, ['look_twice']],
    ])('tool_choice %j is kept whatever is drawn', async (tool_choice, names) => {
      // A likely end of texts and objects, so that answers end before the context does.
      const asked = { ...calling, logit_bias: ENDINGS, tool_choice, temperature: 1.5, n: 4, seed: 3, max_tokens: 60 };
      const { choices } = await create(asked);
      const called = choices.filter(({ finish_reason }) => finish_reason === 'tool_calls');
      expect(called.length).toBeGreaterThan(0);
      for (const { message } of called) {
        const [call, ...more] = message.tool_calls ?? [];
        if (call?.type !== 'function') throw new Error('no call');
        expect([more.length, message.content]).toEqual([0, null]);
        expect(names).toContain(call.function.name);
        expect(typeof JSON.parse(call.function.arguments)).toBe('object');
      }
    });
  });

  describe('answers of JSON', () => {
    const asked = { model: 'red', messages: ASKED, response_format: { type: 'json_object' as const }, max_tokens: 40 };

    test('whatever is drawn is one object, or was cut by its length', async () => {
      const answers = await create({ ...asked, temperature: 2, n: 8, seed: 1, logit_bias: ENDINGS });
      const reasons = answers.choices.map(({ message, finish_reason }) => {
        if (finish_reason === 'stop') expect(JSON.parse(message.content ?? '')).toBeTypeOf('object');
        else expect(message.content).toMatch(/^\s*\{/);
        return finish_reason;
      });
      expect(new Set(reasons)).toContain('stop');
    });

    test('streamed as whole, also with the likeliest tokens', async () => {
      const more = { ...asked, temperature: 0, logprobs: true, top_logprobs: 2 };
      const whole = await create(more);
      const stream = of().client.chat.completions.stream(more);
      expect(await stream.finalContent()).toBe(whole.choices[0]?.message.content);
    });
  });
}

/** Of the shipped base's vocabulary: `"` and `}`. */
const ENDINGS = { 5: 8, 96: 12 };
