import { renderCourse } from '@moraine/contract/analyses';
import { type Arguments, type Command, noMoreThan, oneOf, required, text } from '../args.js';
import { connect } from '../connect.js';
import { writeResult } from '../write-result.js';

/** What was measured of a run, over its checkpoints and layers, in the form that is asked for. */
export async function showCourse(args: Arguments, command: Command): Promise<number> {
  const id = required(args, 1, 'The id of the run', command);
  noMoreThan(args, 2, command);
  const format = oneOf(args, 'format', ['md', 'svg', 'csv', 'json'] as const) ?? (args.options.json ? 'json' : 'md');
  const query = { kind: oneOf(args, 'kind', ['weights', 'canaries'] as const), analysis: text(args, 'analysis') };
  const course = await connect(args).call('getRunAnalyses', { params: { id }, query });
  return writeResult(args, format === 'json' ? `${JSON.stringify(course)}\n` : renderCourse(course, format, id));
}
