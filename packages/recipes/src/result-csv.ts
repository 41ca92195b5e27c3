/** The result file of the OpenAI API: one line a step, validation columns where a validation ran. */
const HEADER = 'step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy';

export interface ResultLine {
  step: number;
  trainLoss: number;
  trainAccuracy: number;
  valid: { loss: number; tokenAccuracy: number } | null;
}

export interface ResultCsv {
  add(line: ResultLine): void;
  text(): string;
  /** The training loss of each step so far, to the digits of the file. */
  trainLosses(): number[];
}

/** Goes on from the text of a checkpoint, or starts anew. */
export function createResultCsv(text = `${HEADER}\n`): ResultCsv {
  const lines = [text];
  const digits = (value: number) => String(Number(value.toPrecision(7)));
  return {
    add: ({ step, trainLoss, trainAccuracy, valid }) => {
      const columns = [String(step), digits(trainLoss), digits(trainAccuracy)];
      columns.push(valid ? digits(valid.loss) : '', valid ? digits(valid.tokenAccuracy) : '');
      lines.push(`${columns.join(',')}\n`);
    },
    text: () => lines.join(''),
    trainLosses: () =>
      lines
        .join('')
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => Number(line.split(',')[1])),
  };
}
