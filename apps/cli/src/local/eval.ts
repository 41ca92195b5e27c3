import { type Command, integer, noMoreThan, oneOf } from '../args.js';
import { progressLine } from '../progress-line.js';
import { MODE_OPTION, MODES } from '../request-options.js';
import { print, printError } from '../terminal.js';
import { evaluateSuite, refuseSuiteOptions, SUITE_OPTIONS } from './eval-suite.js';
import { ADAPTER_OPTION, BASE_OPTION, JSON_OPTION, LAMBDA_OPTION, lambdaOf, neededPath, pathOf } from './options.js';

/** Nats with seven digits after the point. */
const digits = (value: number): number => Number(value.toFixed(7));

export const evalCommand: Command = {
  name: 'local eval',
  forms: [
    '--base DIR --data FILE [--adapter DIR [--lambda L]] [--json]',
    '--suite NAME FILE --base DIR [--adapter DIR [--lambda L]] [--limit N [--seed N]] [--items FILE] [--json]',
  ],
  options: {
    base: BASE_OPTION,
    data: { type: 'string', value: 'FILE', help: 'JSONL rows: chat, prompt and completion, or text.' },
    adapter: ADAPTER_OPTION,
    lambda: LAMBDA_OPTION,
    seq: {
      type: 'string',
      value: 'N',
      help: 'Longest row in tokens, longer ones are cut; default the base’s context.',
    },
    ...SUITE_OPTIONS,
    mode: MODE_OPTION,
    json: JSON_OPTION,
  },
  run: async (args) => {
    const isSuite = args.options.suite !== undefined;
    noMoreThan(args, isSuite ? 1 : 0, evalCommand);
    if (isSuite) return evaluateSuite(args, evalCommand);
    refuseSuiteOptions(args);
    const isJson = args.options.json === true;
    const baseDir = neededPath(args, 'base', evalCommand);
    const file = neededPath(args, 'data', evalCommand);
    const adapterDir = pathOf(args, 'adapter') ?? null;
    const lambda = lambdaOf(args);
    const mode = oneOf(args, 'mode', MODES) ?? 'plain';
    const seq = integer(args, 'seq', 2, 2 ** 24);
    const { describeReport, leftOut, scoreFile } = await import('@moraine/recipes');
    const line = progressLine();
    const begun = performance.now();
    const score = await scoreFile({
      baseDir,
      adapterDir,
      lambda,
      file,
      mode,
      ...(seq === undefined ? {} : { maxSeqLen: seq }),
      onProgress: (done, rows) => {
        if (!isJson) line.show(`${done} of ${rows} rows`, String(Math.floor((10 * done) / rows)));
      },
    });
    line.clear();
    const { rows, tokens, supervisedTokens, natsPerToken, natsPerSupervisedToken, tokenAccuracy, report } = score;
    for (const sentence of describeReport(report)) printError(sentence);
    if (isJson) {
      print(
        JSON.stringify({
          nats_per_token: digits(natsPerToken),
          nats_per_supervised_token: digits(natsPerSupervisedToken),
          token_accuracy: digits(tokenAccuracy),
          rows,
          tokens,
          supervised_tokens: supervisedTokens,
          truncated_rows: report.truncated,
          left_out_rows: leftOut(report),
          mode,
          ...(adapterDir === null ? {} : { lambda }),
          seconds: Number(((performance.now() - begun) / 1000).toFixed(3)),
          device: score.device,
        }),
      );
      return 0;
    }
    print(`${rows} rows, ${tokens.toLocaleString('en')} tokens, ${supervisedTokens.toLocaleString('en')} supervised`);
    print(`nats per token             ${natsPerToken.toFixed(7)}`);
    print(`nats per supervised token  ${natsPerSupervisedToken.toFixed(7)}`);
    print(`supervised tokens right    ${(100 * tokenAccuracy).toFixed(2)} %`);
    return 0;
  },
};
