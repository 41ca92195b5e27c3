import { data } from './of.mjs';

/** What is fetched, and what is said of files before a run. */
export const files = [
  data('hub/download-file.ts', 'hub/fetch-base', {
    name: 'hub: bytes are not held against the record',
    find: 'if (hex === file.hash.hex) break;',
    replace: 'if (hex.length === file.hash.hex.length) break;',
    test: 'bytes that are not those of the record > are thrown away and fetched once more',
  }),
  data('hub/download-file.ts', 'hub/fetch-base', {
    name: 'hub: a cut download begins anew',
    find: '(at > 0 && { range:',
    replace: '(at < 0 && { range:',
    test: 'a download that is cut > goes on where it stopped, and the waits are said',
  }),
  data('preview-file.ts', 'preview-file', {
    name: 'preview: what is asked is shown as learned',
    find: 'i > 0 && labels[i] !== IGNORED',
    replace: 'i > 0 && labels[i] !== null',
    test: 'a row is shown as the template writes it, and what is learned is the answer with its end token',
  }),
  data('foreign-rows.ts', 'convert-file', {
    name: 'converted rows: numbers of definitions are rounded',
    find: 'toJson(toValue(value), { ...JSON_PLAIN',
    replace: 'toJson(toValue(JSON.parse(toJson(toValue(value)))), { ...JSON_PLAIN',
    test: 'numbers and the order of keys stay as they are written > of definitions',
  }),
  data('aside/queue.ts', 'aside', {
    name: 'queue: whoever comes is taken',
    find: 'waiting.length >= waitingMax',
    replace: 'waiting.length > waitingMax',
    test: 'a queue takes so many that wait, refuses the next, and takes again when one has ended',
  }),
  data('jinja/values.ts', 'jinja-syntax', {
    name: 'templates: a tuple is written as a list',
    find: 'value instanceof Tuple && !(value instanceof View)',
    replace: 'value instanceof View && !(value instanceof View)',
    test: 'tuples are no lists > {{ 1, 2 }} {{ 1, }}',
  }),
  data('jinja/filters.ts', 'jinja-python', {
    name: 'templates: filters go through what is not true',
    find: 'if (!isTrue(value)) return;',
    replace: 'if (value === false) return;',
    test: 'filters that choose and change take whatever is not true for nothing > {{ none | selectattr("a") | list }}',
  }),
  data('chat-template.ts', 'named-templates', {
    name: 'templates: rows with tools are written by the default',
    find: 'options.tools === undefined ? plain : withTools',
    replace: 'options.tools !== undefined ? plain : plain',
    test: 'rows with tools are learned as the template for tools writes them',
  }),
  data('duplicates.ts', 'preview-file', {
    name: 'duplicates: long numbers of calls are rounded',
    find: "typeof value === 'bigint' ?",
    replace: "typeof value === 'bigint' ? Number(value) : typeof value === 'bigint' ?",
    test: 'duplicates > numbers of calls that differ in what no float holds are two',
  }),
  data('encode-file.ts', 'preview-file', {
    name: 'overlap: rows of the training file among those of validation are not seen',
    find: 'if (training.some((file) => file.has(row))) ',
    replace: 'if (training.some((file) => file.has(row) === undefined)) ',
    test: 'duplicates > rows of a file that are in the training file too are counted',
  }),
  data('added-tokens.ts', 'tokenizer-shapes', {
    name: 'tokenizer: a token that must stand alone is found inside words',
    find: 'token.single_word && isInWord',
    replace: 'token.single_word === null && isInWord',
    test: 'added-tokens > gives Hugging Face’s ids and texts',
  }),
];
