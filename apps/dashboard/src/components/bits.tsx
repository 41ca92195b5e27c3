import type { RunSummary } from '@moraine/contract';
import { useEffect, useState } from 'react';
import type { Quantity } from '../lib/format.js';
import { Icon } from './icon.js';

/** Digits in full strength, their unit weaker. */
export const Amount = ({ value, unit }: Quantity) => (
  <span className="num">
    {value}
    {unit && <span className="unit"> {unit}</span>}
  </span>
);

/** The method's word beside its fixed colour. */
export const MethodChip = ({ name, kind, color }: Pick<RunSummary['method'], 'name' | 'kind' | 'color'>) => (
  <span className="method clip">
    <span className="swatch" style={{ background: `var(--method-${color})` }} />
    {name}
    <span className="weak"> {kind}</span>
  </span>
);

/** A bar with its words; the words are what a screen reader gets. */
export function ProgressBar({ share, label }: { share: number; label: string }) {
  const value = Math.max(0, Math.min(1, share));
  return (
    <span
      className="bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(value * 100)}
    >
      <span style={{ transform: `scaleX(${value})` }} />
    </span>
  );
}

/** Text in mono that copies itself. */
export function Copyable({ text, shown = text, what }: { text: string; shown?: string; what: string }) {
  const [note, setNote] = useState('');
  useEffect(() => {
    if (!note) return;
    const timer = setTimeout(() => setNote(''), 1500);
    return () => clearTimeout(timer);
  }, [note]);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setNote('Copied');
    } catch {
      setNote('Select it and press Ctrl+C: this page may not use the clipboard');
    }
  };
  return (
    <span className="copyable">
      <code className="clip" title={text}>
        {shown}
      </code>
      <button type="button" className="plain" aria-label={`Copy ${what}`} onClick={() => void copy()}>
        <Icon name="copy" />
      </button>
      <span className="label" role="status">
        {note}
      </span>
    </span>
  );
}

/** A command to run, ready to be copied. */
export const Command = ({ text }: { text: string }) => (
  <span className="command">
    <Copyable text={text} what="the command" />
  </span>
);
