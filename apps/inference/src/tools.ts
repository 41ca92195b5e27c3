import { randomUUID } from 'node:crypto';
import { AppError } from '@moraine/contract';
import type { ChatFinishReason, ChatRequest, ToolCall } from '@moraine/contract/serving';
import { type CallForm, decoderFor, findCallForm, type ReadAnswer, type ReadCall, readAnswer } from '@moraine/data';
import { callConstraint, type jsonConstraint, type Served } from '@moraine/recipes';
import type { AnswerPart } from './answer.js';

/** How the calls in the answers of a request are read. */
export interface CallReading {
  form: CallForm;
  decode(ids: readonly number[]): string;
  read(text: string, isWhole: boolean): ReadAnswer;
  /** What an answer may say where a call is demanded; undefined: anything. */
  constrain: ReturnType<typeof jsonConstraint> | undefined;
  /** Whether an answer may have more calls than one. */
  isParallel: boolean;
}

/** Whether a request's tools are written into its prompt, and calls are read. */
export const usesTools = ({ tools, tool_choice }: ChatRequest): boolean =>
  (tools ?? []).length > 0 && tool_choice !== 'none';

/**
 * How calls are read under the base's template. `tools` are those of the request, as they are written.
 * @throws AppError `invalid_value` where the template writes calls in no form that is read, and for a choice among tools that cannot be kept.
 */
export function readingOf(
  served: Pick<Served, 'tokenizer' | 'baseName' | 'vocabSize'>,
  request: ChatRequest,
  tools: readonly unknown[],
): CallReading {
  const { tokenizer, baseName } = served;
  const form = findCallForm(tokenizer);
  if (form === null)
    throw new AppError(
      'invalid_value',
      `The chat template of '${baseName}' writes calls of tools in no form that is read here.`,
      {
        param: 'tools',
        hint: 'Leave tools out, or set tool_choice to none.',
      },
    );
  const demanded = demandedNames(request);
  const isParallel = request.parallel_tool_calls !== false;
  return {
    form,
    constrain: demanded === null ? undefined : callConstraint(served, form, demanded),
    isParallel,
    decode: decoderFor(tokenizer, form),
    read(text, isWhole) {
      const { content, calls } = readAnswer(form, text, tools, { isWhole });
      return { content, calls: isParallel ? calls : calls.slice(0, 1) };
    },
  };
}

/** The tools of which one must be called; null: none need be. */
function demandedNames({ tools, tool_choice: choice }: ChatRequest): string[] | null {
  if (choice === 'required') return (tools ?? []).map((tool) => tool.function.name);
  return typeof choice === 'object' && choice !== null ? [choice.function.name] : null;
}

/** @throws AppError `invalid_value` for a choice that names no tool of the request. */
export function checkChoice({ tools, tool_choice: choice }: ChatRequest): void {
  const names = (tools ?? []).map((tool) => tool.function.name);
  const isNamed = typeof choice === 'object' && choice !== null;
  const isFine = isNamed ? names.includes(choice.function.name) : choice !== 'required' || names.length > 0;
  if (isFine) return;
  const wanted = isNamed ? `the tool '${choice.function.name}'` : 'a call';
  throw new AppError('invalid_value', `tool_choice asks for ${wanted}; tools has ${names.join(', ') || 'none'}.`, {
    param: 'tool_choice',
    hint: 'Define the tool in tools.',
  });
}

/** A part of an answer whose calls are read. */
export interface ChatPart extends Omit<AnswerPart, 'finishReason'> {
  calls: (ToolCall & { index: number })[];
  finishReason: ChatFinishReason | null;
}

/** Takes the calls out of the text of answers, each once it is complete. Without a reading every answer is text. */
export async function* chatParts(
  parts: AsyncIterable<AnswerPart>,
  reading: CallReading | null,
): AsyncGenerator<ChatPart> {
  const states = new Map<number, { text: string; told: number; calls: number }>();
  for await (const part of parts) {
    if (reading === null) {
      yield { ...part, calls: [] };
      continue;
    }
    const state = states.get(part.index) ?? { text: '', told: 0, calls: 0 };
    states.set(part.index, state);
    state.text += part.text;
    const { content, calls } = reading.read(state.text, part.finishReason !== null);
    const fresh = calls.slice(state.calls).map((call, i) => ({ index: state.calls + i, ...toToolCall(call) }));
    const text = content.slice(state.told);
    state.told = Math.max(state.told, content.length);
    state.calls = calls.length;
    const finishReason = part.finishReason === 'stop' && calls.length > 0 ? 'tool_calls' : part.finishReason;
    yield { ...part, text, calls: fresh, finishReason };
  }
}

/** Mistral's template takes ids of nine letters and digits alone. */
const toToolCall = ({ name, arguments: given }: ReadCall): ToolCall => ({
  id: randomUUID().replaceAll('-', '').slice(0, 9),
  type: 'function',
  function: { name, arguments: given },
});
