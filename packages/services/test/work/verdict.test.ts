import { RETRYABLE_CAUSES } from '@moraine/contract';
import { describe, expect, test } from 'vitest';
import { type Ending, type Facts, verdictOf } from '../../src/work/verdict.js';

const facts: Facts = {
  state: null,
  attempt: 3,
  maxAttempts: 10,
  charged: 0,
  ooms: 0,
  storageFaults: 0,
  lessMemory: 'half of it',
  noun: 'run',
  keeps: 'checkpoint',
};
const ending: Ending = { status: 'failed', cause: 'hardware', code: 'killed', message: 'Killed.' };
const oom = { cause: 'oom', code: 'out_of_memory' } as const;

const rows: [name: string, facts: Partial<Facts>, ending: Partial<Ending>, verdict: string, delayMs: number][] = [
  ['a first fault is tried again at once', {}, {}, 'retry', 0],
  ['a second fault is tried again after two seconds', { charged: 1 }, {}, 'retry', 2_000],
  ['the pause doubles', { charged: 3 }, {}, 'retry', 8_000],
  ['the pause ends at thirty seconds', { charged: 8 }, {}, 'retry', 30_000],
  ['a lost worker costs no pause', { charged: 3 }, { status: 'lost', cause: 'lost_worker' }, 'retry', 0],
  ['the last attempt of the budget may still be retried into', { charged: 8 }, { status: 'lost' }, 'retry', 0],
  ['a fault that spends the budget fails the run', { charged: 9 }, {}, 'failed', 0],
  ['a budget of one is spent by the first fault', { maxAttempts: 1 }, {}, 'failed', 0],
  ['a fault of the data fails the run', {}, { cause: 'user_data' }, 'failed', 0],
  ['a fault of the configuration fails the run', {}, { cause: 'user_config' }, 'failed', 0],
  ['a loss that is not a number fails the run', {}, { cause: 'nan' }, 'failed', 0],
  ['a released run is not charged, whatever was charged before', { charged: 9 }, { status: 'superseded' }, 'retry', 0],
  ['memory that ran out halves the micro-batch', {}, oom, 'retry_smaller', 0],
  ['memory that ran out after other faults halves it at once', { charged: 3 }, oom, 'retry_smaller', 0],
  ['memory that ran out again fails the run', { ooms: 1 }, oom, 'failed', 0],
  ['memory that ran out where the kind knows no smaller try fails the run', { lessMemory: null }, oom, 'failed', 0],
  [
    'a full disk is not charged, whatever was charged before',
    { charged: 9, maxAttempts: 1 },
    { cause: 'storage' },
    'retry',
    0,
  ],
  ['a full disk is waited for longer each time', { storageFaults: 2 }, { cause: 'storage' }, 'retry', 4_000],
  ['a full disk is waited for at most thirty seconds', { storageFaults: 500 }, { cause: 'storage' }, 'retry', 30_000],
  ['other faults do not count the full disks before', { storageFaults: 50 }, {}, 'retry', 0],
  ['a cancel comes before a retry', { state: 'cancelling' }, {}, 'cancelled', 0],
  ['a cancel comes before a failure', { state: 'cancelling' }, { cause: 'nan' }, 'cancelled', 0],
  ['a cancel comes before a release', { state: 'cancelling' }, { status: 'superseded' }, 'cancelled', 0],
  ['a pause comes before a release', { state: 'pausing' }, { status: 'superseded' }, 'retry', 0],
  ['a pause needs no other pause', { state: 'pausing', charged: 3 }, {}, 'retry', 0],
  ['a run that was given up for lost is tried again', { state: 'lost_contact' }, { status: 'lost' }, 'retry', 0],
];

test.each(rows)('%s', (_name, changedFacts, changedEnding, verdict, delayMs) => {
  const decision = verdictOf({ ...facts, ...changedFacts }, { ...ending, ...changedEnding });
  expect(decision).toMatchObject({ verdict, delayMs });
  expect(decision.error !== null).toBe(verdict === 'failed');
  const waits = changedFacts.state === 'pausing' ? 'paused' : 'queued';
  expect(decision.next).toBe(verdict === 'failed' || verdict === 'cancelled' ? verdict : waits);
});

test.each(RETRYABLE_CAUSES)('%s is a fault of ours', (cause) => {
  expect(verdictOf(facts, { ...ending, cause }).verdict).toBe('retry');
});

describe('what is said', () => {
  test('a retry tells where the run goes on, as a warning; a release as information', () => {
    const sentence = 'Killed. The run is queued again and goes on from its last checkpoint.';
    expect(verdictOf(facts, ending)).toMatchObject({ level: 'warn', sentence, error: null });
    expect(verdictOf(facts, { ...ending, status: 'superseded' })).toMatchObject({ level: 'info', sentence });
  });

  test('a pause says where the run goes on once it is resumed', () => {
    const sentence = 'Killed. The run is paused and goes on from its last checkpoint when it is resumed.';
    const pausing = { ...facts, state: 'pausing' };
    expect(verdictOf(pausing, { ...ending, status: 'superseded' })).toMatchObject({ level: 'info', sentence });
    expect(verdictOf(pausing, { ...ending, ...oom }).sentence).toBe('Killed. The run is paused with half of it.');
  });

  test('a held task waits as a paused one, by its own sentence, unless it was to be cancelled', () => {
    const held = { ...ending, status: 'superseded', message: 'Held.', isHeld: true } as const;
    expect(verdictOf({ ...facts, charged: 9 }, held)).toMatchObject({
      next: 'paused',
      level: 'info',
      sentence: 'Held.',
      delayMs: 0,
    });
    expect(verdictOf({ ...facts, state: 'cancelling' }, held).next).toBe('cancelled');
  });

  test('a smaller try is said in the words of its kind', () => {
    const sentence = 'Killed. The run is queued again with half of it.';
    expect(verdictOf(facts, { ...ending, ...oom })).toMatchObject({ level: 'warn', sentence, error: null });
  });

  test('a task of another kind is called by its own noun', () => {
    const other = { ...facts, noun: 'analysis' };
    expect(verdictOf(other, ending).sentence).toContain('The analysis is queued again');
    expect(verdictOf(other, { ...ending, cause: 'nan' }).sentence).toBe('The analysis failed: Killed.');
    expect(verdictOf({ ...other, state: 'cancelling' }, ending).sentence).toBe('The analysis was cancelled');
  });

  test('a spent budget is counted in the error; a fault of the user is not', () => {
    const spent = verdictOf({ ...facts, charged: 9 }, { ...ending, param: 'steps' });
    expect(spent).toMatchObject({
      level: 'error',
      sentence: 'The run failed: Killed.',
      error: { code: 'killed', param: 'steps', message: 'Killed. This was attempt 3; 10 of 10 were charged.' },
    });
    expect(verdictOf(facts, { ...ending, cause: 'nan' }).error).toEqual({
      code: 'killed',
      param: null,
      message: 'Killed.',
    });
  });

  test('a cancelled run has no error', () => {
    expect(verdictOf({ ...facts, state: 'cancelling' }, ending)).toMatchObject({
      level: 'info',
      sentence: 'The run was cancelled',
      error: null,
    });
  });
});
