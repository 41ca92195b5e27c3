import { AppError } from '@moraine/contract';
import type { ChatTemplate } from './chat-template.js';
import { squeeze } from './proof.js';
import type { ChatMessage } from './row.js';

/** Where the answer that a conversation learns stands in its text, as character positions. */
export interface AnswerSpan {
  /** Number of its message. */
  message: number;
  /** Where the model goes on from, as generation begins there. */
  start: number;
  /** Where its own text begins: before `start` where the generation prompt brings the answer's first words, `<think>` say. */
  ownStart: number;
  /** End of the answer's own text: content and calls. */
  ownEnd: number;
  /** End of the whole turn, with whatever the template writes after the answer. */
  end: number;
  /** The text before the answer is the one that the template writes when it asks for the answer. */
  isAsked: boolean;
  /** The template writes its words and each of its calls, as far as can be told by marks in their places. */
  isWhole: boolean;
}

export interface RenderedAnswers {
  text: string;
  spans: AnswerSpan[];
}

type Messages = readonly ChatMessage[];
type Tools = readonly unknown[] | undefined;

/** A letter of the private use area: no template looks for it, and no answer begins or ends with it. */
const STAND_IN = '\ue0a7';
const QUESTION: ChatMessage = { role: 'user', content: STAND_IN };

/**
 * Renders a conversation and finds the answers to learn (weight 1) by the difference of renderings: with and without the answer, with
 * another answer in its place, with a generation prompt instead. Every answer's turn is rendered once more without what follows it, behind
 * the question and the answer before it only, so that the time is linear in the conversation's length.
 * Returns null when the template writes a turn otherwise once others follow it: then each answer needs a text of its own.
 * @throws AppError `user_data` when the template refuses the conversation.
 */
export function renderAnswers(template: ChatTemplate, messages: Messages, tools?: Tools): RenderedAnswers | null {
  const renderings = createRenderings(template, tools);
  const text = renderings.whole(messages);
  const spans: AnswerSpan[] = [];
  let done = 0;
  let at = 0;
  for (const [i, message] of messages.entries()) {
    if (!isLearned(message)) continue;
    const span =
      afterLastQuestion(renderings, messages, i, done, text, at) ?? fromTheStart(renderings, messages, i, text);
    if (span === null) return null;
    spans.push(span);
    done = i + 1;
    at = span.end;
  }
  return { text, spans };
}

/** Renders the beginning of a conversation that ends with answer `i`, and learns that one. */
export function renderLastAnswer(
  template: ChatTemplate,
  messages: Messages,
  i: number,
  tools?: Tools,
): RenderedAnswers {
  const renderings = createRenderings(template, tools);
  const text = renderings.whole(messages.slice(0, i + 1));
  return {
    text,
    spans: [{ ...locate(renderings, messages, i, text), message: i }],
  };
}

/** Whether the text of a conversation is the same without its tools: the template does not write them. */
export function leavesToolsOut(template: ChatTemplate, messages: Messages, tools: Tools): boolean {
  if (tools === undefined || tools.length === 0) return false;
  return createRenderings(template, undefined).part(messages) === createRenderings(template, tools).part(messages);
}

export const isLearned = ({ role, weight }: ChatMessage): boolean => role === 'assistant' && weight !== 0;

interface Renderings {
  whole(messages: Messages, addGenerationPrompt?: boolean): string;
  /** Null where the template refuses: many look at the first message without asking whether there is one. */
  part(messages: Messages, addGenerationPrompt?: boolean): string | null;
  /** What the template writes behind a question when it asks for an answer; '' where it writes nothing. */
  header(): string;
}

function createRenderings(template: ChatTemplate, tools: Tools): Renderings {
  const options = tools === undefined ? {} : { tools };
  const whole: Renderings['whole'] = (messages, addGenerationPrompt = false) =>
    template.render(messages, { ...options, addGenerationPrompt });
  const part: Renderings['part'] = (messages, addGenerationPrompt) => {
    try {
      return whole(messages, addGenerationPrompt);
    } catch (error) {
      if (error instanceof AppError && error.code === 'user_data') return null;
      throw error;
    }
  };
  let header: string | undefined;
  return {
    whole,
    part,
    header: () => {
      if (header !== undefined) return header;
      const [closed, opened] = [part([QUESTION]) ?? '', part([QUESTION], true) ?? ''];
      header = opened.startsWith(closed) ? opened.slice(closed.length) : '';
      return header;
    },
  };
}

/** The span of answer `i` from its whole beginning; null when the text does not begin with it. */
function fromTheStart(renderings: Renderings, messages: Messages, i: number, text: string): AnswerSpan | null {
  const turn = renderings.part(messages.slice(0, i + 1));
  if (turn === null || !text.startsWith(turn)) return null;
  return { ...locate(renderings, messages, i, turn), message: i };
}

/**
 * The span of answer `i` from a short beginning: what a leading system message, the question before, the answer before and what follows make. Null when
 * these do not make the same text as in the whole conversation; `done` messages make the text until `at`.
 */
function afterLastQuestion(
  renderings: Renderings,
  messages: Messages,
  i: number,
  done: number,
  text: string,
  at: number,
): AnswerSpan | null {
  const question = messages.findLastIndex(({ role }, k) => role === 'user' && k < done - 1);
  const lead = messages[0]?.role === 'system' ? 1 : 0;
  // Of what followed the question the answer before is enough: an agent may call tools a hundred times.
  const [asked, answered] = [messages[question], messages[done - 1]];
  if (asked === undefined || answered === undefined || done <= lead + 2) return null;
  const before = [...messages.slice(0, lead), asked, answered];
  const talk = [...before, ...messages.slice(done, i + 1)];
  const base = renderings.part(before);
  const turn = renderings.part(talk);
  if (base === null || turn === null || !turn.startsWith(base)) return null;
  if (!text.startsWith(turn.slice(base.length), at)) return null;
  const { start, ownStart, ownEnd, end, ...rest } = locate(renderings, talk, talk.length - 1, turn);
  if (ownStart < base.length) return null;
  const shift = at - base.length;
  const moved = { start: start + shift, ownStart: ownStart + shift, ownEnd: ownEnd + shift, end: end + shift };
  return { message: i, ...moved, ...rest };
}

/** Where answer `i` stands in `turn`, the text of the messages until it. */
function locate(renderings: Renderings, messages: Messages, i: number, turn: string): Omit<AnswerSpan, 'message'> {
  const before = messages.slice(0, i);
  const other = renderings.part([...before, { role: 'assistant', content: STAND_IN }]);
  const differs = other === null ? turn.length : sharedStart(turn, other);
  const tail = other === null ? 0 : Math.min(sharedEnd(turn, other), turn.length - differs);
  const isOwnFirst = other?.startsWith(STAND_IN, differs) ?? false;
  const { start, isAsked } = startOf(renderings, before, turn, { differs, isOwnFirst });
  return {
    start,
    ownStart: Math.min(start, differs),
    ownEnd: Math.max(start, turn.length - tail),
    end: turn.length,
    isAsked,
    isWhole: isWritten(renderings, before, messages[i] as ChatMessage),
  };
}

/** Where another answer would begin to differ, and whether it is its own words that do. */
interface Difference {
  differs: number;
  isOwnFirst: boolean;
}

function startOf(
  renderings: Renderings,
  before: Messages,
  turn: string,
  { differs, isOwnFirst }: Difference,
): Pick<AnswerSpan, 'start' | 'isAsked'> {
  const opened = renderings.part(before, true) ?? renderings.part(before) ?? '';
  const isAsked = turn.startsWith(opened);
  const behind = (end: number) => answerBehind(turn, end, isOwnFirst ? differs : end);
  const behindHeader = (from: number) => headerEnd(turn, from, differs, renderings.header());
  if (before.length === 0 && (opened === '' || !isAsked)) {
    // Nobody asks for an answer that stands first, and what the template writes before it, a system message say, is not the answer's.
    const header = behindHeader(0);
    return { start: header === null ? differs : behind(header), isAsked: true };
  }
  if (isAsked && !opened.endsWith(renderings.header()) && opened === renderings.part(before)) {
    // Asked for an answer behind another one some templates open none, though they write its header.
    const header = behindHeader(opened.length);
    if (header !== null) return { start: behind(header), isAsked: false };
  }
  if (isAsked) return { start: behind(opened.length), isAsked };
  return { start: answerElsewhere(turn, renderings.part(before) ?? '', opened, differs), isAsked };
}

/**
 * The end of an answer's header: of the last one from `from` on that begins before another answer would differ, or of the part of it that is there (a
 * template may open a thought and store none). Null: there is none.
 */
function headerEnd(turn: string, from: number, differs: number, header: string): number | null {
  const whole = header === '' ? -1 : turn.lastIndexOf(header, differs - 1);
  if (whole >= from) return whole + header.length;
  for (let length = header.length - 1; length >= SHARED_MIN; length -= 1) {
    const at = turn.lastIndexOf(header.slice(0, length), differs - length);
    if (at >= from && at + length <= differs) return at + length;
  }
  return null;
}

/**
 * Whether the template writes an answer's words and each of its calls: with marks in their places, all at once, it writes every mark. Where it refuses
 * them nothing is known, and the proof by the answer's own text stands alone.
 */
function isWritten(renderings: Renderings, before: Messages, answer: ChatMessage): boolean {
  const { content, tool_calls: calls = [] } = answer;
  if (calls.length === 0) return true;
  const hasWords = squeeze(content ?? '') !== '';
  const words = hasWords ? { content: markOf('words') } : {};
  const marked = calls.map((_, k) => ({
    id: `${k}`.padStart(9, '0'),
    type: 'function',
    function: { name: markOf(`${k}`), arguments: '{}' },
  }));
  const text = renderings.part([...before, { ...answer, ...words, tool_calls: marked }]);
  if (text === null) return true;
  const holds = (mark: string): boolean => text.includes(mark) || text.includes(mark.replaceAll(STAND_IN, '\\ue0a7'));
  return (!hasWords || holds(markOf('words'))) && calls.every((_, k) => holds(markOf(`${k}`)));
}

const markOf = (name: string): string => STAND_IN + name + STAND_IN;

/** How far before the place where another answer would differ the template may begin one: a space, an empty thought. */
const LEAD_MAX = 64;
/** Letters that a rewritten turn must share with the prompt's end. */
const SHARED_MIN = 4;

/**
 * Generation goes on from the prompt; white space that both the prompt ends with and the answer begins with is the answer's own, where the
 * template writes nothing of its own before another answer.
 */
const answerBehind = (turn: string, opened: number, differs: number): number =>
  turn.slice(differs, opened).trim() === '' ? Math.min(opened, differs) : opened;

/** The answer of a turn that does not begin with the prompt: where it has what the prompt ends with, or where it leaves the prompt. */
const answerElsewhere = (turn: string, closed: string, opened: string, differs: number): number =>
  (turn.startsWith(closed) ? null : answerAfter(turn, closed, opened, differs)) ??
  answerWithout(turn, closed, opened, differs);

/** The template wrote an earlier turn otherwise before the answer came; null where nothing is as the prompt ends. */
function answerAfter(turn: string, closed: string, opened: string, differs: number): number | null {
  const needed = Math.max(opened.length - sharedStart(opened, closed) + 1, SHARED_MIN);
  for (let at = differs; at >= Math.max(0, differs - LEAD_MAX); at -= 1) {
    if (sharedEnd(turn.slice(0, at), opened) >= needed) return at;
  }
  return null;
}

/**
 * A turn that lacks some of the generation prompt (a template that opens a thought for the model, but stores none): the answer begins where
 * the turn leaves the prompt, and never behind the place where another answer would differ.
 */
function answerWithout(turn: string, closed: string, opened: string, differs: number): number {
  const shared = sharedStart(turn, opened);
  return shared > sharedStart(turn, closed) ? Math.min(shared, differs) : differs;
}

/** How many letters two texts share from their start; a pair of units is never cut. */
function sharedStart(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let n = 0;
  while (n < most && a.charCodeAt(n) === b.charCodeAt(n)) n += 1;
  const last = a.charCodeAt(n - 1);
  return n > 0 && n < a.length && last >= 0xd800 && last < 0xdc00 ? n - 1 : n;
}

function sharedEnd(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let n = 0;
  while (n < most && a.charCodeAt(a.length - 1 - n) === b.charCodeAt(b.length - 1 - n)) n += 1;
  const first = a.charCodeAt(a.length - n);
  return n > 0 && first >= 0xdc00 && first < 0xe000 ? n - 1 : n;
}
