import { MODEL_ROUTES } from '@moraine/contract/routes/models';
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { useSearchParams } from 'react-router';
import { useTitle } from '../hooks/use-title.js';
import { clientOf } from '../lib/client.js';
import { NO_ANSWER } from '../playground/answer.js';
import { askModel } from '../playground/ask.js';
import { type Asked, bodyOf, COLUMNS_MAX, readAsked, writeAsked } from '../playground/columns.js';
import { PlaygroundColumn, type Told } from '../playground/playground-column.js';
import '../playground/playground.css';

const models = clientOf(MODEL_ROUTES);
/** A column is known by its place alone. */
const NAMES = ['A', 'B', 'C', 'D'];

/** One prompt and one seed to up to four models, their answers side by side as they come. */
export function PlaygroundPage() {
  useTitle('Playground');
  const [search, setSearch] = useSearchParams();
  const asked = readAsked(search);
  const change = (part: Partial<Asked>): void => setSearch(writeAsked({ ...asked, ...part }), { replace: true });
  const [system, setSystem] = useState('');
  const [prompt, setPrompt] = useState('');
  const [isShaded, setShaded] = useState(true);
  const { told, isAsking, ask, stop, forget } = useAnswers();
  const bodies = asked.columns.map((column) => bodyOf(column, asked, system, prompt));
  const canAsk = prompt.trim() !== '' && asked.columns.every(({ model }) => model !== '');
  const submit = (event?: FormEvent): void => {
    event?.preventDefault();
    if (canAsk) ask(bodies);
  };
  return (
    <section className="page playground" aria-label="Playground">
      <div className="toolbar">
        <h1>Playground</h1>
      </div>
      <div className="scroll">
        {/* Values are held within their bounds as they are typed; the browser would refuse those between two steps, a temperature of 0.75 say. */}
        <form className="ask-form" onSubmit={submit} noValidate>
          <textarea
            className="system"
            aria-label="System message"
            placeholder="System message, if any"
            value={system}
            onChange={(event) => setSystem(event.target.value)}
          />
          <textarea
            aria-label="Prompt"
            placeholder="What every model is asked. Ctrl+Enter asks."
            value={prompt}
            onChange={(event) => setPrompt(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit();
            }}
          />
          <div className="ask-settings">
            <NumberField
              label="Temperature"
              value={asked.temperature}
              step={0.1}
              max={2}
              onChange={(temperature) => change({ temperature })}
            />
            <NumberField label="Seed" value={asked.seed} step={1} onChange={(seed) => change({ seed })} />
            <NumberField
              label="Tokens at most"
              value={asked.maxTokens}
              placeholder="all"
              step={1}
              onChange={(tokens) => change({ maxTokens: tokens >= 1 ? tokens : null })}
            />
            <label className="check">
              <input type="checkbox" checked={isShaded} onChange={(event) => setShaded(event.target.checked)} />
              Shade what was unlikely
            </label>
            <span className="spacer" />
            {asked.columns.length < COLUMNS_MAX && (
              <button type="button" onClick={() => change({ columns: [...asked.columns, { model: '', lambda: 1 }] })}>
                Add a column
              </button>
            )}
            {isAsking ? (
              // Keys: one button that turned into the other under the click would ask again.
              <button key="stop" type="button" onClick={stop}>
                Stop
              </button>
            ) : (
              <button key="ask" type="submit" disabled={!canAsk}>
                {asked.columns.length === 1 ? 'Ask it' : `Ask all ${asked.columns.length}`}
              </button>
            )}
          </div>
        </form>
        <ModelNames />
        <div className="columns">
          {asked.columns.map((column, place) => (
            <PlaygroundColumn
              key={NAMES[place]}
              name={NAMES[place] ?? ''}
              column={column}
              told={told[place]}
              isShaded={isShaded}
              body={bodies[place] ?? bodyOf(column, asked, system, prompt)}
              onChange={(changed) =>
                change({ columns: asked.columns.map((one, at) => (at === place ? changed : one)) })
              }
              onRemove={
                asked.columns.length === 1
                  ? undefined
                  : () => {
                      forget(place);
                      change({ columns: asked.columns.filter((_, at) => at !== place) });
                    }
              }
            />
          ))}
        </div>
      </div>
    </section>
  );
}

function NumberField({
  label,
  value,
  placeholder,
  step,
  max,
  onChange,
}: {
  label: string;
  /** Null where the field is empty. */
  value: number | null;
  placeholder?: string;
  step: number;
  max?: number;
  onChange: (value: number) => void;
}) {
  return (
    <label className="label">
      {label}
      <input
        type="number"
        min={0}
        max={max}
        step={step}
        placeholder={placeholder}
        value={value ?? ''}
        onChange={(event) => onChange(Number(event.target.value))}
      />
    </label>
  );
}

/** The names that the fields offer: bases, adapters and what runs made. */
function ModelNames() {
  const { data } = useQuery({
    queryKey: ['models'],
    queryFn: ({ signal }) => models.call('listModels', { signal }),
    refetchInterval: 10_000,
  });
  return (
    <datalist id="models">
      {(data?.data ?? []).map(({ id }) => (
        <option key={id} value={id} />
      ))}
    </datalist>
  );
}

/** The answers of the columns: all are asked at once, and each goes its own way. */
function useAnswers() {
  const [told, setTold] = useState<Told[]>([]);
  const stopper = useRef<AbortController | null>(null);
  useEffect(() => () => stopper.current?.abort(), []);
  const set = (place: number, part: Partial<Told>): void =>
    setTold((all) => all.map((one, at) => (at === place ? { ...one, ...part } : one)));
  const ask = (bodies: readonly ReturnType<typeof bodyOf>[]): void => {
    stopper.current?.abort();
    const now = new AbortController();
    stopper.current = now;
    const { signal } = now;
    setTold(bodies.map(() => ({ answer: NO_ANSWER, error: null, isAsking: true })));
    for (const [place, body] of bodies.entries())
      askModel(body, signal, (answer) => {
        if (!signal.aborted) set(place, { answer });
      }).then(
        () => !signal.aborted && set(place, { isAsking: false }),
        (error: unknown) => !signal.aborted && set(place, { isAsking: false, error }),
      );
  };
  const stop = (): void => {
    stopper.current?.abort();
    setTold((all) => all.map((one) => ({ ...one, isAsking: false })));
  };
  const forget = (place: number): void => {
    stop();
    setTold((all) => all.filter((_, at) => at !== place));
  };
  return { told, isAsking: told.some((one) => one.isAsking), ask, stop, forget };
}
