import { Template } from '@huggingface/jinja';
import { AppError } from '@moraine/contract';
import type { ChatMessage } from './row.js';

/**
 * The form for bases that bring no chat template: each message under a heading, an end token after each answer.
 * `### user:` / text / blank line / `### assistant:` / text and end token.
 */
export const PLAIN_TEMPLATE = [
  '{{- bos_token -}}',
  '{%- for message in messages -%}',
  "{%- if not loop.first -%}{{- '\\n\\n' -}}{%- endif -%}",
  "{{- '### ' + message['role'] + ':\\n' + message['content'] -}}",
  "{%- if message['role'] == 'assistant' -%}{{- eos_token -}}{%- endif -%}",
  '{%- endfor -%}',
  "{%- if add_generation_prompt -%}{{- '\\n\\n### assistant:\\n' -}}{%- endif -%}",
].join('');

export interface ChatTemplate {
  /** The text of a conversation; `addGenerationPrompt` opens an answer at its end. */
  render(messages: readonly ChatMessage[], options?: { addGenerationPrompt?: boolean; tools?: unknown[] }): string;
}

/** Where in a rendered conversation an answer to learn stands, as character positions. */
export interface AnswerSpan {
  start: number;
  /** End of the answer's own text. */
  contentEnd: number;
  /** End of the whole turn, with whatever the template writes after the answer. */
  end: number;
}

/** Compiles a Jinja chat template with the tokens it may name. */
export function compileTemplate(source: string, tokens: { bos: string; eos: string; pad: string }): ChatTemplate {
  let template: Template;
  try {
    template = new Template(source);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('invalid_base', `The base's chat template does not compile: ${why}.`, {
      param: 'chat_template',
      cause,
    });
  }
  return {
    render: (messages, options = {}) => {
      try {
        return template.render({
          messages: messages.map(forTemplate),
          add_generation_prompt: options.addGenerationPrompt ?? false,
          bos_token: tokens.bos,
          eos_token: tokens.eos,
          pad_token: tokens.pad,
          ...(options.tools === undefined ? {} : { tools: options.tools }),
        });
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        const roles = messages.map((message) => message.role).join(', ');
        throw new AppError('user_data', `The base's chat template refuses the roles ${roles}: ${why}`, {
          param: 'messages',
          hint: 'Bring the conversation into the order of roles that this base knows.',
          cause,
        });
      }
    },
  };
}

/** A message as templates expect it: no weight; arguments of tool calls as objects where they are JSON texts. */
function forTemplate({ weight: _weight, tool_calls: calls, ...message }: ChatMessage): Record<string, unknown> {
  if (calls === undefined) return message;
  return { ...message, tool_calls: calls.map(withParsedArguments) };
}

function withParsedArguments(call: unknown): unknown {
  if (typeof call !== 'object' || call === null || !('function' in call)) return call;
  const { function: called } = call;
  if (typeof called !== 'object' || called === null || !('arguments' in called)) return call;
  if (typeof called.arguments !== 'string') return call;
  try {
    return { ...call, function: { ...called, arguments: JSON.parse(called.arguments) as unknown } };
  } catch {
    return call;
  }
}

/**
 * Renders a conversation and finds its answers by rendering its beginnings: a beginning must stay as it is when the conversation goes on.
 * Answers of weight 0 are no spans.
 * @throws AppError `user_data` when the template rewrites earlier turns, so that no span can be told for sure.
 */
export function renderWithSpans(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  tools?: unknown[],
): { text: string; spans: AnswerSpan[] } {
  const options = tools === undefined ? {} : { tools };
  const text = template.render(messages, options);
  const spans: AnswerSpan[] = [];
  messages.forEach((message, i) => {
    if (message.role !== 'assistant' || message.weight === 0) return;
    const turn = template.render(messages.slice(0, i + 1), options);
    const opened = renderBefore(template, messages.slice(0, i), options, turn);
    if (opened === null || !text.startsWith(turn)) throw notStable(i);
    const at = contentPosition(turn, message.content, opened.length);
    spans.push({ start: opened.length, contentEnd: at ?? opened.length, end: turn.length });
  });
  return { text, spans };
}

/** The text before an answer, with its opening where the template has one; null when it is no beginning of the turn. */
function renderBefore(
  template: ChatTemplate,
  before: readonly ChatMessage[],
  options: { tools?: unknown[] },
  turn: string,
): string | null {
  const candidates = [true, false].map((addGenerationPrompt) => {
    try {
      return template.render(before, { ...options, addGenerationPrompt });
    } catch (error) {
      if (before.length === 0) return ''; // many templates look at the first message without asking whether there is one
      throw error;
    }
  });
  return candidates.find((candidate) => turn.startsWith(candidate)) ?? null;
}

/** Where the answer's text ends in its turn; templates may trim it. */
function contentPosition(turn: string, content: string, from: number): number | null {
  for (const text of [content, content.trim()]) {
    const at = text === '' ? -1 : turn.indexOf(text, from);
    if (at >= 0) return at + text.length;
  }
  return null;
}

function notStable(index: number): AppError {
  return new AppError('user_data', `The base's chat template changes earlier turns once message ${index} follows.`, {
    param: `messages[${index}]`,
    hint: 'Give each answer a row of its own that ends with it, or give the answers before the last a weight of 0.',
  });
}
