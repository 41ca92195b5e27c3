import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { isObject, type Json } from './row-problem.js';
import { parseUserJson } from './stored-folder.js';
import { TEMPLATE_FILE, type TemplateSources, TOOL_TEMPLATE_FILE, templateSources } from './template-files.js';

/** The files of a base that say how it reads text. */
export const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'config.json',
  'generation_config.json',
  TEMPLATE_FILE,
  TOOL_TEMPLATE_FILE,
] as const;

/** The text of a file of a base; null where it has none of that name. */
export type ReadText = (name: string) => Promise<string | null>;

/** What is known of a tokenizer beside its tokenizer.json. */
export interface Companions {
  config: Json | null;
  map: Json | null;
  model: Json | null;
  generation: Json | null;
  templates: TemplateSources;
}

/** Reads the files of a Hugging Face folder. */
export const folderReader =
  (directory: string): ReadText =>
  async (name) => {
    try {
      return await readFile(join(directory, name), 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    }
  };

/** @throws AppError `invalid_base` naming the file that is missing or no JSON object. */
export async function readTokenizerFiles(read: ReadText): Promise<{ json: Json; companions: Companions }> {
  const readJson = async (name: string) => parseJson(name, await read(name));
  const json = await readJson('tokenizer.json');
  if (!json) {
    throw new AppError('invalid_base', 'The base has no tokenizer.json.', {
      param: 'tokenizer.json',
      hint: 'Save it once with a fast tokenizer: AutoTokenizer.from_pretrained(folder).save_pretrained(folder).',
    });
  }
  const config = await readJson('tokenizer_config.json');
  const [jinja, toolUse] = [await read(TEMPLATE_FILE), await read(TOOL_TEMPLATE_FILE)];
  return {
    json,
    companions: {
      config,
      map: await readJson('special_tokens_map.json'),
      model: await readJson('config.json'),
      generation: await readJson('generation_config.json'),
      templates: templateSources({ config, jinja, toolUse }),
    },
  };
}

function parseJson(name: string, text: string | null): Json | null {
  if (text === null) return null;
  const value = parseUserJson(text, name, 'invalid_base', `${name} of the base`);
  if (isObject(value)) return value;
  throw new AppError('invalid_base', `${name} of the base holds no JSON object.`, {
    param: name,
    hint: 'Take the file as the model came with it.',
  });
}
