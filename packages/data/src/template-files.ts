import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isObject, type Json } from './row-problem.js';

/** Where transformers saves the chat templates of a base that has several, each under its name. */
const FOLDER = 'additional_chat_templates';
const NAMED = new RegExp(`^${FOLDER}/[A-Za-z0-9][A-Za-z0-9._-]*\\.jinja$`);

/** The default chat template of a base, as a file. */
export const TEMPLATE_FILE = 'chat_template.jinja';
/** The chat template of a base for conversations with tools, as a file. */
export const TOOL_TEMPLATE_FILE = `${FOLDER}/tool_use.jinja`;

/** Whether a file of a base, named below its folder, is a chat template with a name of its own. */
export const isNamedTemplate = (name: string): boolean => NAMED.test(name);

/** The chat templates with a name of their own in the folder of a base, named below it. */
export function listNamedTemplates(dir: string): string[] {
  const folder = join(dir, FOLDER);
  const entries = statSync(folder, { throwIfNoEntry: false })?.isDirectory()
    ? readdirSync(folder, { withFileTypes: true })
    : [];
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => `${FOLDER}/${name}`);
  return names.filter(isNamedTemplate).sort();
}

/** The chat templates of a base by what they are for; null where it has none for that. */
export interface TemplateSources {
  /** For conversations that name no tools, and for all where there is none for tools. */
  whole: string | null;
  toolUse: string | null;
  /** Names of all, where they have names. */
  names: readonly string[];
}

/** The texts of a base's files that hold chat templates; null for a file that is not there. */
export interface TemplateTexts {
  config: Json | null;
  jinja: string | null;
  toolUse: string | null;
}

/** A base's chat templates as transformers finds them: files where there are any, else what tokenizer_config.json has, one or several by name. */
export function templateSources({ config, jinja, toolUse }: TemplateTexts): TemplateSources {
  if (jinja !== null || toolUse !== null) {
    return {
      whole: jinja,
      toolUse,
      names: toolUse === null ? [] : jinja === null ? ['tool_use'] : ['default', 'tool_use'],
    };
  }
  const inConfig = config?.chat_template;
  if (typeof inConfig === 'string') return { whole: inConfig, toolUse: null, names: [] };
  const named = namedTemplates(inConfig);
  return { whole: named.get('default') ?? null, toolUse: named.get('tool_use') ?? null, names: [...named.keys()] };
}

function namedTemplates(value: unknown): Map<string, string> {
  const pairs: [unknown, unknown][] = Array.isArray(value)
    ? value.filter(isObject).map(({ name, template }) => [name, template])
    : isObject(value)
      ? Object.entries(value)
      : [];
  return new Map(pairs.filter((pair): pair is [string, string] => pair.every((part) => typeof part === 'string')));
}
