import { AppError } from '@moraine/contract';
import { type CallForm, frameOfCall, type TextTokenizer } from '@moraine/data';
import {
  type Constraint,
  chain,
  createConstraint,
  createJsonGrammar,
  createVocabulary,
  oneOf,
  type Vocabulary,
} from '@moraine/lm';

/** A base's tokens, and the size of its logits. */
type Words = { tokenizer: TextTokenizer; vocabSize: number };

/** An object that says what is otherwise broken: keys, letters of several bytes, escapes, white space and numbers. */
const SAMPLE = '{"a b": [1.5e-3, "é → 😀\\n", true], "c":{"d":null}}\n';

const vocabularies = new WeakMap<TextTokenizer, Map<string, Vocabulary>>();
const json = createJsonGrammar();

/** Makes the constraint of an answer that is one object of JSON. @throws AppError `invalid_value` for a base whose tokens do not spell their text. */
export function jsonConstraint(words: Words): () => Constraint {
  const vocabulary = vocabularyOf(words, [], 'response_format');
  return () => createConstraint(vocabulary, json);
}

/**
 * Makes the constraint of an answer that is one call, of one of some tools, as the template writes it in training rows.
 * @throws AppError `invalid_value` where the template does not write arguments as one JSON text, and as `jsonConstraint` does.
 */
export function callConstraint(words: Words, form: CallForm, names: readonly string[]): () => Constraint {
  const frames = names.map((name) => frameOfCall(words.tokenizer, form, name));
  const [first] = frames;
  if (first == null || frames.some((frame) => frame === null || frame.behind !== first.behind))
    throw new AppError('invalid_value', `A call cannot be demanded of a template that writes ${form.name}.`, {
      param: 'tool_choice',
      hint: 'Set tool_choice to auto.',
    });
  const vocabulary = vocabularyOf(words, form.marks, 'tool_choice');
  const parts = [oneOf(frames.flatMap((frame) => frame?.before ?? [])), json];
  const begin = chain(first.behind === '' ? parts : [...parts, oneOf([first.behind])]);
  return () => createConstraint(vocabulary, begin);
}

/** The tokens of a base but special ones, besides those that the marks are written with. */
function vocabularyOf({ tokenizer, vocabSize }: Words, marks: readonly string[], param: string): Vocabulary {
  const known = vocabularies.get(tokenizer) ?? new Map<string, Vocabulary>();
  vocabularies.set(tokenizer, known);
  const key = JSON.stringify(marks);
  const before = known.get(key);
  if (before !== undefined) return before;
  if (!spells(tokenizer))
    throw new AppError('invalid_value', 'The tokens of this base do not spell the text that they stand for.', {
      param,
      hint: 'Leave it out, and say in the prompt what is wanted.',
    });
  const kept = new Set(marks.flatMap((mark) => tokenizer.encode(mark)));
  const isTaken = (id: number) => !tokenizer.eosIds.includes(id) && (kept.has(id) || !tokenizer.specialIds.has(id));
  const made = createVocabulary(vocabSize, (id) => (isTaken(id) ? tokenizer.bytes(id) : null));
  known.set(key, made);
  return made;
}

function spells(tokenizer: TextTokenizer): boolean {
  const pieces = tokenizer.encode(SAMPLE).map((id) => tokenizer.bytes(id));
  return (
    Buffer.concat(pieces.map((bytes) => bytes ?? new Uint8Array()))
      .toString()
      .trimStart() === SAMPLE
  );
}
