import { AppError } from '@moraine/contract';
import type { Hub } from './hub.js';
import type { HubSource } from './source.js';

/** What a request was about, for the sentence that says that it failed. */
export interface Asked extends HubSource {
  /** Name of a file; absent when the model itself was asked for. */
  file?: string;
}

/** The error of an answer that no waiting changes: gated, private, missing, a wrong token. */
export async function refusalOf(hub: Hub, response: Response, text: string, asked: Asked): Promise<AppError> {
  const code = response.headers.get('x-error-code');
  const said = response.headers.get('x-error-message') ?? messageIn(text);
  const isRefused = response.status === 401 || response.status === 403;
  if (code === 'GatedRepo' || (code === null && isRefused && GATED.test(said))) return gated(hub, asked, said);
  if (code === 'RevisionNotFound') return missingRevision(hub, asked);
  if (code === 'EntryNotFound') return missingFile(hub, asked);
  if (response.status === 401 && /invalid (credentials|username|user access token)/i.test(said))
    return wrongToken(hub, said);
  if (code === 'RepoNotFound' || response.status === 401 || response.status === 404)
    return missingRepo(hub, asked, code);
  return isRefused
    ? forbidden(hub, response, asked, said)
    : new AppError('unavailable', answered(hub, response, asked, said));
}

/** How a hub or a mirror of one says without a code that somebody must grant access. */
const GATED = /\b(restricted|gated)\b|awaiting (a )?review/i;

const answered = ({ endpoint }: Hub, { status }: Response, { repo }: Asked, said: string): string =>
  `${endpoint} answers ${status} for ${repo}${said && `: ${said.replace(/\.$/, '')}`}.`;

/** What a body says: the error of an object, or a line of plain text. */
function messageIn(text: string): string {
  try {
    const { error }: { error?: unknown } = JSON.parse(text);
    return typeof error === 'string' ? error : '';
  } catch {
    const line = text.trim();
    return line.length > 300 || /[<\n]/.test(line) ? '' : line;
  }
}

const gated = ({ endpoint, token }: Hub, { repo }: Asked, said: string): AppError =>
  new AppError('forbidden', `${repo} is gated at ${endpoint}${said && `: ${said}`}${/[.!?]$/.test(said) ? '' : '.'}`, {
    hint:
      token === null
        ? `Accept its terms at ${endpoint}/${repo}, then set HF_TOKEN to a token of that account.`
        : `The account of HF_TOKEN has no access to it: accept its terms at ${endpoint}/${repo}, wait until they are granted, and give the token the right to read gated repositories.`,
  });

const forbidden = (hub: Hub, response: Response, asked: Asked, said: string): AppError =>
  new AppError('forbidden', answered(hub, response, asked, said), {
    hint: [
      hub.token === null
        ? 'Set HF_TOKEN to a token of an account that may read the model.'
        : 'HF_TOKEN must be of an account that may read the model, and have the right to.',
      `Where ${hub.endpoint}/${asked.repo} asks to accept terms, accept them.`,
    ].join(' '),
  });

const missingRepo = ({ endpoint, token }: Hub, { repo }: Asked, code: string | null): AppError =>
  new AppError('not_found', `There is no model ${repo} at ${endpoint}, or it is private.`, {
    hint: [
      'Check the spelling, ORG/REPO.',
      token === null
        ? 'For a private one set HF_TOKEN.'
        : 'For a private one, HF_TOKEN must be of an account that may read it.',
      ...(code === null ? ['If there is no hub at that address, set HF_ENDPOINT.'] : []),
    ].join(' '),
  });

const wrongToken = ({ endpoint }: Hub, said: string): AppError =>
  new AppError('forbidden', `${endpoint} does not take HF_TOKEN: ${said.replace(/\.$/, '')}.`, {
    param: 'HF_TOKEN',
    hint: `Make a new token at ${endpoint}/settings/tokens, or unset HF_TOKEN for a public model.`,
  });

const missingFile = ({ endpoint }: Hub, { repo, revision, file }: Asked): AppError =>
  new AppError(
    'not_found',
    `${repo} at ${revision} has no file ${file ?? ''} at ${endpoint}, although its list names it.`,
    {
      hint: 'The repository is changing or damaged; try again, or take another revision.',
    },
  );

const missingRevision = ({ endpoint }: Hub, { repo, revision }: Asked): AppError =>
  new AppError('not_found', `${repo} has no revision '${revision}' at ${endpoint}.`, {
    hint: `${endpoint}/${repo}/refs lists its branches and tags; a commit is given by its 40 hex digits.`,
  });
