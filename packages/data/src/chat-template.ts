import { AppError } from '@moraine/contract';
import { readExact } from './exact-json.js';
import { compileJinja, type Render } from './jinja/compile.js';
import { Float, RaisedByTemplate, TemplateError, toJson, Unsupported, type Value } from './jinja/values.js';
import type { ChatMessage } from './row.js';
import type { TemplateSources } from './template-files.js';

/**
 * The form for bases that bring no chat template: each message under a heading, an end token after each answer.
 * `### user:` / text / blank line / `### assistant:` / text and end token.
 */
export const PLAIN_TEMPLATE = [
  '{{- bos_token -}}',
  '{%- for message in messages -%}',
  "{%- if not loop.first -%}{{- '\\n\\n' -}}{%- endif -%}",
  "{{- '### ' + message['role'] + ':\\n' + (message['content'] or '') -}}",
  "{%- if message['role'] == 'assistant' -%}{{- eos_token -}}{%- endif -%}",
  '{%- endfor -%}',
  "{%- if add_generation_prompt -%}{{- '\\n\\n### assistant:\\n' -}}{%- endif -%}",
].join('');

export interface RenderOptions {
  /** Opens an answer at the end. */
  addGenerationPrompt?: boolean;
  tools?: readonly unknown[];
}

export interface ChatTemplate {
  /**
   * The text of a conversation, as transformers renders it.
   * @throws AppError `user_data` where the template refuses the conversation, `invalid_base` where it uses what is not known here.
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
  /** Whether the text of a conversation depends on the day. */
  namesDay: boolean;
  /** Whether a conversation is being rendered: whoever ends one that takes too long finds out so what took the time. */
  isRendering(): boolean;
}

/** The special tokens that a template may name, by their names: `bos_token`, `eos_token`, … */
export type TemplateTokens = Readonly<Record<string, string>>;

const VARIABLES = [
  'messages',
  'tools',
  'documents',
  'add_generation_prompt',
  'bos_token',
  'eos_token',
  'pad_token',
  'unk_token',
];

/**
 * Compiles the chat templates of a base as one, which renders a conversation as transformers does: with the template for tools where tools are
 * given and the base has one, else with its default. The plain form stands in where the base has no template at all.
 * @throws AppError `invalid_base` as `compileTemplate` does.
 */
export function compileTemplates(
  { whole, toolUse, names }: TemplateSources,
  tokens: TemplateTokens,
  day: Date = new Date(),
): ChatTemplate {
  const source = whole ?? (names.length === 0 ? PLAIN_TEMPLATE : null);
  const plain = source === null ? refusing(names) : compileTemplate(source, tokens, day);
  if (toolUse === null) return plain;
  const withTools = compileTemplate(toolUse, tokens, day, { tools: [PROBED_TOOL] });
  return {
    isRendering: () => plain.isRendering() || withTools.isRendering(),
    namesDay: plain.namesDay || withTools.namesDay,
    render: (messages, options = {}) => (options.tools === undefined ? plain : withTools).render(messages, options),
  };
}

/** What stands for the default template of a base whose templates have other names: transformers asks for a name then. */
const refusing = (names: readonly string[]): ChatTemplate => ({
  isRendering: () => false,
  namesDay: false,
  render: () => {
    const without = names.includes('tool_use') ? ' for conversations without tools' : '';
    throw new AppError('user_data', `The base has no default chat template${without}, only ${names.join(', ')}.`, {
      param: 'messages',
      hint: "Name one of the templates 'default' in the base's files and register it anew.",
    });
  },
});

/** A tool for templates that are only used with some. */
export const PROBED_TOOL = {
  type: 'function',
  function: { name: 'probe', description: 'Probes.', parameters: { type: 'object', properties: {} } },
};

/**
 * Compiles a Jinja chat template with the tokens it may name. `day` is what it takes for today, `probed` what its way to write calls is found
 * with.
 * @throws AppError `invalid_base` naming a construct of Jinja that is not known here.
 */
export function compileTemplate(
  source: string,
  tokens: TemplateTokens,
  day: Date = new Date(),
  probed: RenderOptions = {},
): ChatTemplate {
  const run = compile(source, tokens);
  const draw = (messages: readonly Map<Value, Value>[], { addGenerationPrompt, tools }: RenderOptions): string => {
    const values = new Map<string, Value>([
      ['messages', [...messages]],
      ['tools', tools === undefined ? null : tools.map(toValue)],
      ['documents', null],
      ['add_generation_prompt', addGenerationPrompt ?? false],
      ...Object.entries(tokens),
    ]);
    return run(values, day);
  };
  let form: CallForm | undefined;
  let isRendering = false;
  return {
    isRendering: () => isRendering,
    namesDay: source.includes('strftime_now'),
    render: (messages, options = {}) => {
      const callsTools = messages.some((message) => message.tool_calls !== undefined);
      isRendering = true;
      try {
        if (callsTools) form ??= callForm((probe) => draw(probe, probed));
        return draw(
          messages.map((message) => toTemplateMessage(message, form ?? WITHOUT_CALLS)),
          options,
        );
      } catch (cause) {
        throw renderFault(cause, messages);
      } finally {
        // Not reached where it is ended from outside.
        isRendering = false;
      }
    },
  };
}

function compile(source: string, tokens: TemplateTokens): Render {
  try {
    return compileJinja(source, [...VARIABLES, ...Object.keys(tokens)]);
  } catch (cause) {
    if (cause instanceof Unsupported) throw unknownConstruct(cause);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError('invalid_base', `The base's chat template does not compile: ${why}.`, {
      param: 'chat_template',
      hint: 'Correct the template, or remove it: the plain form is used then.',
      cause,
    });
  }
}

const unknownConstruct = (cause: Unsupported): AppError =>
  new AppError('invalid_base', `The base's chat template uses ${cause.message}, which is not supported here.`, {
    param: 'chat_template',
    hint: 'Write the template without it, or remove the template: the plain form is used then.',
    cause,
  });

function renderFault(cause: unknown, messages: readonly ChatMessage[]): AppError {
  if (cause instanceof Unsupported) return unknownConstruct(cause);
  if (!(cause instanceof TemplateError)) {
    if (cause instanceof RangeError)
      return new AppError('user_data', `The base's chat template goes beyond what can be made: ${cause.message}.`, {
        param: 'messages',
        hint: 'Correct the template: it calls itself without end, or makes a text or a number that is too large.',
        cause,
      });
    throw cause;
  }
  const roles = messages.map((message) => message.role).join(', ');
  if (cause instanceof RaisedByTemplate) {
    return new AppError('user_data', `The base's chat template refuses the roles ${roles}: ${cause.message}`, {
      param: 'messages',
      hint: 'Bring the conversation into the order of roles that this base knows.',
      cause,
    });
  }
  return new AppError(
    'user_data',
    `The base's chat template fails on this conversation (roles ${roles}): ${cause.message}.`,
    {
      param: 'messages',
      hint: 'The template expects something that the messages do not have; compare them with what it reads.',
      cause,
    },
  );
}

/** How a template takes answers with calls. */
interface CallForm {
  /**
   * Of arguments that a file holds as JSON texts: as they are written, where it writes a text and an object alike or knows only texts; else as
   * an object.
   */
  arguments: 'written' | 'text' | 'object';
  /**
   * What stands for the content of an answer that has none: nothing, as transformers drops what is null; null or an empty text where the
   * template asks more of it.
   */
  content: undefined | null | '';
}

const WITHOUT_CALLS: CallForm = { arguments: 'object', content: undefined };

function callForm(render: (messages: Map<Value, Value>[]) => string): CallForm {
  const written = '{"key": "value"}';
  const withArguments = (given: Value, content: CallForm['content']): string | null => {
    const called = new Map<Value, Value>([
      ['name', 'probe'],
      ['arguments', given],
    ]);
    const call = new Map<Value, Value>([
      ['id', 'call00001'],
      ['type', 'function'],
      ['function', called],
    ]);
    const asked = new Map<Value, Value>([
      ['role', 'user'],
      ['content', 'x'],
    ]);
    try {
      return render([
        asked,
        new Map<Value, Value>([
          ['role', 'assistant'],
          ...(content === undefined ? [] : [['content', content] as const]),
          ['tool_calls', [call]],
        ]),
      ]);
    } catch {
      return null;
    }
  };
  for (const content of [undefined, null, ''] as const) {
    const asText = withArguments(written, content);
    const asObject = withArguments(readExact(written).value, content);
    if (asText === null && asObject === null) continue;
    if (asObject === null) return { arguments: 'text', content };
    return { arguments: asText === asObject ? 'written' : 'object', content };
  }
  return WITHOUT_CALLS;
}

/** A message as templates see it and transformers gives it: no weight, nothing that is null, reasoning under each name that templates read. */
function toTemplateMessage(
  { weight: _weight, tool_calls: calls, ...message }: ChatMessage,
  form: CallForm,
): Map<Value, Value> {
  const reasoning = message.reasoning_content ?? message.thinking ?? message.reasoning;
  const named = reasoning === undefined ? message : { thinking: reasoning, ...message, reasoning_content: reasoning };
  const made = new Map<Value, Value>();
  for (const [key, value] of Object.entries(named)) if (value !== undefined && value !== null) made.set(key, value);
  if (calls === undefined) return made;
  if (message.content === null && form.content !== undefined) made.set('content', form.content);
  const written = calls.map((call) => withArguments(toValue(call), form.arguments));
  return made.set('tool_calls', written);
}

function withArguments(call: Value, form: CallForm['arguments']): Value {
  if (!(call instanceof Map)) return call;
  const called = call.get('function');
  if (called instanceof Map) return new Map(call).set('function', withArguments(called, form));
  const given = call.get('arguments');
  if (form === 'text' && given instanceof Map) return new Map(call).set('arguments', toJson(given));
  if (form !== 'object' || typeof given !== 'string') return call;
  const parsed = parsedArguments(given);
  return parsed === undefined ? call : new Map(call).set('arguments', parsed);
}

/** Arguments that a file holds as a text; undefined where it is no JSON. */
export function parsedArguments(text: string): Value | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  return readExact(text).value;
}

/** A plain value of JavaScript as templates see it; what was read exactly stays as it is. */
export function toValue(value: unknown): Value {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : new Float(value);
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.map(toValue);
  if (typeof value !== 'object' || value instanceof Map || value instanceof Float) return value as Value;
  return new Map(Object.entries(value).map(([key, of]): [Value, Value] => [key, toValue(of)]));
}
