/** The text of an answer while it is written: only what no later token and no stop text can take back. */
export interface TextSoFar {
  /** What is certain now and was not before. */
  add(ids: readonly number[]): string;
  /** The rest of the answer that has ended. */
  end(text: string): string;
  /** Whether all of the text was given. */
  isLevel(): boolean;
}

const UNFINISHED = '\ufffd';

/** @param decode the text of an answer's tokens. @param stops texts before which the answer ends. */
export function createTextSoFar(decode: (ids: readonly number[]) => string, stops: readonly string[]): TextSoFar {
  let given = '';
  let isLevel = true;
  const give = (text: string): string => {
    if (!text.startsWith(given)) return '';
    const more = text.slice(given.length);
    given = text;
    return more;
  };
  return {
    add(ids) {
      const whole = decode(ids);
      const certain = whole.slice(0, Math.min(lettersOf(whole), beforeStop(whole, stops)));
      isLevel = certain.length === whole.length;
      return give(certain);
    },
    end(text) {
      isLevel = true;
      return give(text);
    },
    isLevel: () => isLevel,
  };
}

/** Letters before the bytes of one that is not whole. */
function lettersOf(text: string): number {
  let end = text.length;
  while (end > 0 && text[end - 1] === UNFINISHED) end -= 1;
  return end;
}

/** Where a stop text is, or where the end of the text may be the beginning of one. */
function beforeStop(text: string, stops: readonly string[]): number {
  let end = text.length;
  for (const stop of stops) {
    const place = text.indexOf(stop);
    if (place >= 0) end = Math.min(end, place);
    for (let length = Math.min(stop.length - 1, text.length); length > 0; length--)
      if (text.endsWith(stop.slice(0, length))) {
        end = Math.min(end, text.length - length);
        break;
      }
  }
  return end;
}
