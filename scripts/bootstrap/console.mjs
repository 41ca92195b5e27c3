// How the bootstrap talks: one short line a step, with its seconds; on a terminal the line counts while the step runs.
import { clearLine, cursorTo } from 'node:readline';

const isTerminal = process.stderr.isTTY === true;
const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/** Runs `work(tell)`; `tell(detail)` changes what the running line says. Returns what `work` returns. */
export async function step(name, detail, work) {
  const started = Date.now();
  let current = detail;
  const draw = () => {
    if (!isTerminal) return;
    clearLine(process.stderr, 0);
    cursorTo(process.stderr, 0);
    const width = (process.stderr.columns ?? 80) - 1;
    process.stderr.write(`  ${name.padEnd(10)} ${current} … ${seconds(started)}`.slice(0, width));
  };
  const timer = isTerminal ? setInterval(draw, 100) : undefined;
  draw();
  const close = (mark) => {
    clearInterval(timer);
    if (isTerminal) {
      clearLine(process.stderr, 0);
      cursorTo(process.stderr, 0);
    }
    process.stderr.write(`${mark} ${name.padEnd(10)} ${current}  ${seconds(started)}\n`);
  };
  try {
    const result = await work((text) => {
      current = text;
    });
    close('✓');
    return result;
  } catch (error) {
    close('✗');
    throw error;
  }
}

/** An error whose message is meant for a person; no stack is shown. */
export class Stop extends Error {}
