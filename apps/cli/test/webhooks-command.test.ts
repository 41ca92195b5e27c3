import { describe, expect, test } from 'vitest';
import { readArguments } from '../src/args.js';
import { webhooksCommand } from '../src/commands/webhooks.js';

/** Runs the command on words that it refuses before it asks any server. */
const refusalOf = async (...words: string[]): Promise<unknown> => {
  try {
    return await webhooksCommand.run(readArguments(webhooksCommand, words));
  } catch (error) {
    return error;
  }
};

describe('moraine webhooks refuses', () => {
  test('both switches at once', async () => {
    expect(await refusalOf('update', 'wh_1', '--enable', '--disable')).toMatchObject({
      code: 'invalid_request',
      message: '--enable and --disable contradict each other.',
    });
  });

  test('a change of nothing', async () => {
    expect(await refusalOf('update', 'wh_1')).toMatchObject({ message: 'There is nothing to change.' });
  });

  test.each([
    [['create'], 'The address is missing.'],
    [['replay', 'wh_1'], 'The id of the delivery is missing.'],
    [['ls', 'more'], "'more' is one argument too many."],
    [['rotate', 'wh_1', '--overlap', '604801'], "--overlap is '604801', which is not a whole number from 0 to 604800."],
    [['deliveries', 'wh_1', '--limit', '0'], "--limit is '0', which is not a whole number from 1 to 1000000."],
    [['remove', 'wh_1'], "moraine webhooks has no action 'remove'."],
  ])('%j', async (words, message) => {
    expect(await refusalOf(...words)).toMatchObject({ code: 'invalid_request', message });
  });
});
