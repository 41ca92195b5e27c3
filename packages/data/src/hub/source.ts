import { AppError } from '@moraine/contract';

/** A model on a hub. */
export interface HubSource {
  /** `ORG/REPO`, or `REPO` alone for one of the oldest. */
  repo: string;
  /** Branch, tag or commit. */
  revision: string;
}

const PREFIX = 'hf:';
const PART = '[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?';
const REPO = new RegExp(`^(?:${PART}/)?${PART}$`);
const REVISION = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,250}[A-Za-z0-9_-])?$/;

export const isHubSource = (text: string): boolean => text.startsWith(PREFIX);

/** Reads `hf:ORG/REPO@REV`; without `@REV` it is the branch `main`. @throws AppError `invalid_value`. */
export function parseHubSource(text: string): HubSource {
  const [repo = '', ...rest] = text.slice(PREFIX.length).split('@');
  const revision = rest.length === 0 ? 'main' : rest.join('@');
  if (!isHubSource(text) || !isName(REPO, repo) || !isName(REVISION, revision)) {
    throw new AppError('invalid_value', `'${text.slice(0, 200)}' names no model of a hub.`, {
      param: 'source',
      hint: 'Write hf:ORG/REPO, or hf:ORG/REPO@REV for a branch, a tag or a commit: hf:Qwen/Qwen3-0.6B@main.',
    });
  }
  return { repo, revision };
}

/** The same for every spelling of one source. */
export const hubSourceText = ({ repo, revision }: HubSource): string => `${PREFIX}${repo}@${revision}`;

/** Names with `..` or `--` are no repositories, and would be paths. */
const isName = (pattern: RegExp, text: string): boolean => pattern.test(text) && !/\.\.|\/\/|\.git$/.test(text);
