import { AppError, explain } from '@moraine/contract';
import type { ReactNode } from 'react';
import { isOffline, isSignedOut } from '../lib/client.js';
import { Command } from './bits.js';

/** A quiet block where content would be: what is the matter, and what fills the place. */
export const Notice = ({ title, children, tone }: { title: string; children?: ReactNode; tone?: 'bad' }) => (
  <div className="notice" role={tone === 'bad' ? 'alert' : 'status'}>
    <h2 className={tone === 'bad' ? 'tone-bad' : ''}>{title}</h2>
    {children}
  </div>
);

/** The one place where an error becomes words: signed out, offline, not there, or what the server said; and what to do. */
export function ErrorNotice({ error, what, onRetry }: { error: unknown; what: string; onRetry?: () => void }) {
  if (isSignedOut(error))
    return (
      <Notice title="This browser is not signed in">
        <p>Run this where the stack runs, and open the link that it prints. The link works once.</p>
        <Command text="npx moraine login" />
        <p className="weak">This page goes on by itself once you are signed in.</p>
      </Notice>
    );
  if (isOffline(error))
    return (
      <Notice title="The server does not respond">
        <p>
          No answer from {window.location.host}. It is asked again every few seconds. If the stack is not running, start
          it:
        </p>
        <Command text="npm start" />
      </Notice>
    );
  const code = error instanceof AppError ? error.code : 'internal';
  return (
    <Notice title={code === 'not_found' ? `There is no such ${what}` : `The ${what} could not be loaded`} tone="bad">
      <p>{explain(error)}</p>
      <p className="weak">
        {code === 'not_found'
          ? 'Check the address, or go back to the runs.'
          : 'Try again; if it stays, the log of the API has the cause.'}{' '}
        Code <code>{code}</code>.
      </p>
      {onRetry && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </Notice>
  );
}

export const Loading = ({ what }: { what: string }) => (
  <p className="loading weak" role="status">
    Loading {what} …
  </p>
);
