import { existsSync } from 'node:fs';
import { AppError, DataRole, MixEntry, nearest } from '@moraine/contract';
import type { z } from 'zod';
import type { Arguments, Option } from './args.js';

export const MIX_OPTION: Option = {
  type: 'string',
  value: 'FILE[:WEIGHT[:ROLE]]',
  help: 'Trains on this file too, rows drawn by weight (that of the training file is 1; default 1). Role target or source (rows of what the base knows, shown so that it is kept); may be given several times.',
};

/** The files of `--mix` as a request has them; undefined where there are none. @throws AppError `invalid_request`. */
export const mixEntries = (args: Arguments): z.output<typeof MixEntry>[] | undefined =>
  args.repeated.mix?.map(readEntry);

function readEntry(text: string): z.output<typeof MixEntry> {
  const [file = '', ...rest] = existsSync(text) ? [text] : splitFromBehind(text);
  const roles: readonly string[] = DataRole.options;
  const role = rest.find((part) => roles.includes(part));
  const weight = rest.find((part) => part !== role);
  const entry = MixEntry.safeParse({
    file_id: file,
    ...(weight !== undefined && { weight: Number(weight) }),
    ...(role !== undefined && { role }),
  });
  const used = [role, weight].filter((part) => part !== undefined);
  if (entry.success && used.length === rest.length) return entry.data;
  const near = weight === undefined ? null : nearest(weight, roles);
  throw new AppError('invalid_request', `--mix is '${text}', which is no ${MIX_OPTION.value}.`, {
    hint: near ? `Did you mean '${near}'?` : 'Write --mix old.jsonl:0.25:source; a weight is a number above 0.',
  });
}

/** A file's name may have colons in front of the two that count. */
function splitFromBehind(text: string): string[] {
  const [, file = text, first, second] = /^(.+?)(?::([^:/]*))?(?::([^:/]*))?$/.exec(text) ?? [];
  const isPart = (part: string | undefined): part is string => part !== undefined;
  if (existsSync(`${file}:${first}`) && second !== undefined) return [`${file}:${first}`, second];
  return [file, ...[first, second].filter(isPart)];
}
