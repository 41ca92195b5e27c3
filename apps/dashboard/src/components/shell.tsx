import { type ReactNode, useCallback, useEffect, useState, useSyncExternalStore } from 'react';
import { NavLink, useNavigate } from 'react-router';
import { useEscape, useHotkeys } from '../hooks/use-hotkeys.js';
import { client, keepAsking } from '../lib/client.js';
import { connection } from '../lib/connection.js';
import type { ConnectionStatus } from '../lib/connection-status.js';
import { duration } from '../lib/format.js';
import { type Theme, useTheme } from '../lib/theme.js';
import { Icon } from './icon.js';

const NEXT: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };

function ThemeButton() {
  const [theme, setTheme] = useTheme();
  return (
    <button
      type="button"
      className="plain"
      onClick={() => setTheme(NEXT[theme])}
      title="Change the theme"
      aria-label={`Theme: ${theme}. Change it`}
    >
      <Icon name={theme} />
      <span className="wide">
        {theme === 'system' ? 'System theme' : theme === 'light' ? 'Light theme' : 'Dark theme'}
      </span>
    </button>
  );
}

/** Ends this browser's session; the page then says how to sign in again. */
const signOut = (): Promise<void> =>
  client.call('signOut').then(
    () => window.location.reload(),
    () => undefined,
  );

const BADGE: Record<ConnectionStatus, string> = { live: 'Live', catching_up: 'Catching up', offline: 'Offline' };

/** Whether what one sees is what is: the word, and beside it the age of the last answer. */
function ConnectionBadge() {
  const { status, ageS, retries } = useSyncExternalStore(connection.subscribe, connection.get);
  return (
    <p className={`connection ${status}`} data-connection={status}>
      <Icon name={status === 'offline' ? 'warning' : 'idle'} />
      <span role="status">{BADGE[status]}</span>
      <span className="label num">
        {ageS === null ? '' : `updated ${ageS === 0 ? 'now' : `${duration(ageS)} ago`}`}
        {status === 'offline' && retries > 0 ? ` · ${retries} ${retries === 1 ? 'try' : 'tries'}` : ''}
      </span>
    </p>
  );
}

const KEYS: readonly [string, string][] = [
  ['/', 'Search the runs'],
  ['j  k', 'Next and previous row'],
  ['Enter', 'Open the row'],
  ['g r', 'Go to the runs'],
  ['g x', 'Go to the experiments'],
  ['g e', 'Go to the evaluations'],
  ['g p', 'Go to the playground'],
  ['g w', 'Go to the workers'],
  ['Esc', 'Leave a field, close what is open, reset a zoom'],
  ['?', 'Show or hide these keys'],
];

const Help = ({ onClose }: { onClose: () => void }) => (
  <aside className="help" aria-label="Keyboard">
    <dl>
      {KEYS.map(([key, what]) => (
        <div key={key}>
          <dt>
            <kbd>{key}</kbd>
          </dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
    <button type="button" onClick={onClose}>
      Close
    </button>
  </aside>
);

/** The frame of every page: where one is, whether it is live, and the keys that work everywhere. */
export function Shell({ children }: { children: ReactNode }) {
  const navigate = useNavigate();
  const [isHelpOpen, setHelpOpen] = useState(false);
  const close = useCallback(() => setHelpOpen(false), []);
  useEffect(keepAsking, []);
  useHotkeys({
    'g r': () => void navigate('/runs'),
    'g x': () => void navigate('/experiments'),
    'g e': () => void navigate('/evaluations'),
    'g p': () => void navigate('/playground'),
    'g w': () => void navigate('/workers'),
    '?': () => setHelpOpen((open) => !open),
  });
  useEscape(isHelpOpen, close);
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="rail">
        <span className="brand">
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d="M1 13 5.5 5l3 4.6L10.5 7 15 13z" fill="var(--accent)" />
          </svg>
          <span className="wide">Moraine</span>
        </span>
        <nav aria-label="Pages">
          <NavLink to="/runs">Runs</NavLink>
          <NavLink to="/experiments">Experiments</NavLink>
          <NavLink to="/evaluations">Evaluations</NavLink>
          <NavLink to="/playground">Playground</NavLink>
          <NavLink to="/workers">Workers</NavLink>
          <a href="/docs" className="wide">
            API
          </a>
        </nav>
        <div className="rail-end">
          <ConnectionBadge />
          <ThemeButton />
          <button
            type="button"
            className="plain wide"
            onClick={() => setHelpOpen((open) => !open)}
            aria-expanded={isHelpOpen}
          >
            <kbd>?</kbd> Keys
          </button>
          <button type="button" className="plain wide" onClick={signOut}>
            Sign out
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
      {isHelpOpen && <Help onClose={close} />}
    </div>
  );
}
