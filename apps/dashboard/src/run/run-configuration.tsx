import type { RunObject } from '@moraine/contract';
import { Copyable } from '../components/bits.js';

type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

/** Every resolved value of the run, by its name on the wire. */
export function RunConfiguration({ run }: { run: RunObject }) {
  return (
    <section className="block">
      {run.advice?.map(({ param, message }) => (
        <p key={param}>
          <strong>Faster:</strong> {message}
        </p>
      ))}
      <p>
        <Copyable
          text={JSON.stringify(run.config, null, 2)}
          shown="Copy everything as JSON"
          what="the configuration as JSON"
        />
      </p>
      <dl className="facts configuration">
        {flatten(run.config as Value).map(([name, value]) => (
          <Row key={name} name={name} value={value} />
        ))}
      </dl>
    </section>
  );
}

const Row = ({ name, value }: { name: string; value: string }) => (
  <>
    <dt className="mono">{name}</dt>
    <dd className="mono">{value}</dd>
  </>
);

/** `optimizer.learning_rate` → its value; a list of plain values is one line, `data_mix[0].weight` has its own. */
function flatten(value: Value, path = ''): [string, string][] {
  if (typeof value !== 'object' || value === null) return [[path, String(value)]];
  if (!Array.isArray(value))
    return Object.entries(value).flatMap(([key, inner]) => flatten(inner, path ? `${path}.${key}` : key));
  if (value.some((entry) => typeof entry === 'object' && entry !== null))
    return value.flatMap((entry, i) => flatten(entry, `${path}[${i}]`));
  return [[path, value.join(', ') || '–']];
}
