import { explain } from '@moraine/contract';
import { useState } from 'react';
import { Copyable } from '../components/bits.js';
import { digits } from '../lib/format.js';
import { type Answer, piecesOf, shadeOf, speedOf } from './answer.js';
import type { AskBody, Column } from './columns.js';
import { LANGUAGES, type Language, snippetOf } from './snippets.js';

/** What became of the question to one model. */
export interface Told {
  answer: Answer;
  error: unknown;
  isAsking: boolean;
}

interface ColumnProps {
  /** What it is called: A to D. */
  name: string;
  column: Column;
  told: Told | undefined;
  isShaded: boolean;
  body: AskBody;
  onChange: (column: Column) => void;
  /** Absent where it is the only one. */
  onRemove: (() => void) | undefined;
}

/** A model, its answer as it comes, and how fast it came. */
export function PlaygroundColumn({ name, column, told, isShaded, body, onChange, onRemove }: ColumnProps) {
  return (
    <section className="column" aria-label={`Column ${name}`}>
      <div className="column-head">
        <label className="label">
          {name}: model
          <input
            list="models"
            value={column.model}
            title={column.model}
            placeholder="a base, ft:… or ft:…:ckpt-step-N"
            spellCheck={false}
            onChange={(event) => onChange({ ...column, model: event.target.value.trim() })}
          />
        </label>
        <label className="label" title="Share of the adapter’s update that answers: 0 is the base">
          Share λ
          <input
            type="number"
            min={0}
            max={1}
            step={0.05}
            value={column.lambda}
            onChange={(event) => onChange({ ...column, lambda: Math.min(1, Math.max(0, Number(event.target.value))) })}
          />
        </label>
        {onRemove && (
          <button type="button" className="plain" onClick={onRemove} aria-label={`Remove column ${name}`}>
            Remove
          </button>
        )}
      </div>
      <AnswerText told={told} isShaded={isShaded} />
      <Figures told={told} />
      <Snippet body={body} />
    </section>
  );
}

function AnswerText({ told, isShaded }: { told: Told | undefined; isShaded: boolean }) {
  if (told === undefined) return <p className="answer weak">The answer appears here.</p>;
  const { answer, error, isAsking } = told;
  return (
    <div className="answer" role="region" aria-label="Answer" aria-busy={isAsking}>
      {answer.text === '' && isAsking && <span className="weak">Waiting for the first token …</span>}
      {answer.text === '' && !isAsking && error === null && <span className="weak">It ended without a word.</span>}
      {isShaded ? piecesOf(answer).map((piece) => <Piece key={piece.at} {...piece} />) : answer.text}
      {error !== null && (
        <p className="tone-bad" role="alert">
          {explain(error)}
        </p>
      )}
    </div>
  );
}

/** The stronger the shade, the less the model expected the token. */
const Piece = ({ text, logprob }: { text: string; logprob: number | null }) =>
  logprob === null ? (
    <span>{text}</span>
  ) : (
    <span
      title={`probability ${digits(100 * Math.exp(logprob))} %, log-probability ${withMinus(logprob)}`}
      style={{ background: `color-mix(in srgb, var(--state-warn) ${Math.round(35 * shadeOf(logprob))}%, transparent)` }}
    >
      {text}
    </span>
  );

const withMinus = (x: number | null): string => digits(x).replace('-', '−');

function Figures({ told }: { told: Told | undefined }) {
  const answer = told?.answer;
  const speed = answer ? speedOf(answer) : null;
  const mean =
    answer && answer.tokens.length > 0
      ? answer.tokens.reduce((sum, { logprob }) => sum + logprob, 0) / answer.tokens.length
      : null;
  const figures: [string, string, string][] = [
    ['First token', answer?.firstTokenMs == null ? '–' : digits(answer.firstTokenMs), 'ms'],
    ['Speed', digits(speed), 'tokens/s'],
    ['Tokens', String(answer?.completionTokens ?? (answer?.tokens.length || '–')), ''],
    ['Mean log-probability', withMinus(mean), 'nats'],
    ['Ended', told?.isAsking ? 'not yet' : (answer?.finishReason ?? '–'), ''],
  ];
  return (
    <dl className="answer-figures">
      {figures.map(([name, value, unit]) => (
        <div key={name}>
          <dt className="label">{name}</dt>
          <dd className="num">
            {value}
            {value !== '–' && unit !== '' && <span className="unit"> {unit}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Snippet({ body }: { body: AskBody }) {
  const [language, setLanguage] = useState<Language | null>(null);
  const text = language === null ? '' : snippetOf(language, body, window.location.origin);
  return (
    <div className="snippet">
      <div className="choices" role="group" aria-label="As a program">
        {LANGUAGES.map((name) => (
          <button
            type="button"
            className="plain"
            key={name}
            aria-pressed={language === name}
            onClick={() => setLanguage(language === name ? null : name)}
          >
            {name}
          </button>
        ))}
        {language !== null && <Copyable text={text} shown="" what={`it as ${language}`} />}
      </div>
      {language !== null && <pre>{text}</pre>}
    </div>
  );
}
