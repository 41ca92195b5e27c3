import type { EventObject, ExportReport } from '@moraine/contract';
import { summariseWeights, type WeightRow } from '@moraine/contract/analyses';
import { summarise } from '@moraine/contract/suites';
import type { DoctorReport } from '@moraine/engine/install';
import { describe, expect, test, vi } from 'vitest';
import type { Arguments } from '../src/args.js';
import { reportView } from '../src/commands/doctor.js';
import { eventLines } from '../src/event-lines.js';
import { reportLines } from '../src/export-view.js';
import { curveTable, layerTable, summaryTable, weightsCsv } from '../src/local/lab-view.js';
import { metadataOf } from '../src/metadata-option.js';
import { sharesOf } from '../src/mix-shares.js';
import { printList } from '../src/pages.js';
import { progressLine } from '../src/progress-line.js';
import { figureOf, summaryLines } from '../src/summary-view.js';
import { shownLines, watchScreen } from './screen.js';
import { columnsOf } from './stack.js';

// What is shown of values, without any server.
const args = (given: Partial<Arguments> = {}): Arguments => ({ options: {}, repeated: {}, positionals: [], ...given });

describe('the doctor', () => {
  const report: DoctorReport & { sandbox: string | null } = {
    node: '24.1.0',
    platform: 'linux-x64, glibc 2.36',
    runtime: { isInstalled: true, variant: 'cpu', tensorflow: '2.21.0', library: 'lib', reason: undefined },
    tensorflow: '2.21.0',
    device: { kind: 'cpu', name: 'EPYC', tensorflow: '2.21.0', bfloat16: 'avx512_bf16', threads: 2 },
    nvidia: null,
    processor: 'EPYC',
    cores: 2,
    memoryBytes: 8e9,
    memoryFreeBytes: 3e9,
    cache: '~/.cache/moraine',
    diskFreeBytes: 50e9,
    python: { program: 'python3', version: '3.11.2', pip: undefined },
    compiler: null,
    problems: [],
    sandbox: null,
  };
  const rowsOf = (changes: Partial<typeof report>): Record<string, string> =>
    Object.fromEntries(
      reportView({ ...report, ...changes })
        .split('\n')
        .map((line) => [columnsOf(line)[0] ?? '', columnsOf(line).slice(1).join('  ')]),
    );

  test('of a machine without a card says what it computes on and that bf16 pays', () => {
    const rows = rowsOf({});
    expect(rows).toMatchObject({
      Node: '24.1.0 on linux-x64, glibc 2.36',
      TensorFlow: '2.21.0 (cpu)',
      Device: 'CPU: EPYC',
      Driver: 'no NVIDIA driver',
      Memory: '8.0 GB, 3.0 GB free',
      Python: '3.11.2, pip missing (python3)',
      Compiler: 'not found',
      Sandbox: 'ready: code that a model writes can be run (bubblewrap)',
    });
    expect(rows.bfloat16).toMatch(/^multiplied \(avx512_bf16\): mode bf16 is faster/);
    expect(Object.keys(rows)).not.toContain('CUDA');
    expect(reportView(report).endsWith('\n\nReady to train.')).toBe(true);
    const slow = { ...report.device, bfloat16: null } as NonNullable<DoctorReport['device']>;
    expect(rowsOf({ device: slow }).bfloat16).toMatch(/^not multiplied by this processor/);
  });

  test('of one with a card names driver, cards and what of CUDA is missing', () => {
    const cuda = { missing: [], ptxas: '/cuda/ptxas', libdevice: undefined };
    const nvidia = {
      ...{ version: '570.1', library: '/lib/libcuda.so.1', management: undefined },
      ...{ device: 'H200', cards: ['H200', 'H200'], visible: '1', cuda },
    };
    expect(rowsOf({ nvidia })).toMatchObject({
      Driver: 'H200, H200, driver 570.1 (/lib/libcuda.so.1)',
      Visible: 'CUDA_VISIBLE_DEVICES=1',
      CUDA: 'every library found',
      ptxas: '/cuda/ptxas',
      libdevice: 'not found',
    });
    const missing = { ...cuda, missing: [{ file: 'libcudnn.so.9' }] } as unknown as typeof cuda;
    expect(rowsOf({ nvidia: { ...nvidia, cuda: missing } }).CUDA).toBe('missing: libcudnn.so.9');
    const bare = { ...nvidia, version: undefined, library: undefined, cards: [], visible: undefined, cuda: null };
    expect(rowsOf({ nvidia: bare })).toMatchObject({
      Driver: 'NVIDIA, driver of unknown version (libcuda.so.1 not found)',
      Visible: 'the first card (CUDA_VISIBLE_DEVICES is not set)',
    });
    expect(rowsOf({ nvidia: bare })).not.toHaveProperty('CUDA');
    const gpu = { ...report.device, kind: 'gpu' } as NonNullable<DoctorReport['device']>;
    expect(rowsOf({ device: gpu }).bfloat16).toBe('not looked at');
  });

  test('of one where something is missing says each with what to do, and is not ready', () => {
    const problems = [1, 2].map((n) => ({ what: `No part ${n}.`, fix: `Install ${n}.` })) as DoctorReport['problems'];
    const broken = { problems, device: null, tensorflow: null, python: null, sandbox: 'bubblewrap is missing' };
    const text = reportView({ ...report, ...broken });
    expect(text).toContain('\n\n! No part 1.\n  Install 1.\n\n! No part 2.\n  Install 2.');
    expect(text).not.toContain('Ready to train');
    expect(rowsOf(broken)).toMatchObject({
      ...{ TensorFlow: 'not loaded', Device: 'none', Python: 'not found', Sandbox: 'bubblewrap is missing' },
    });
  });
});

test('figures of an evaluation have the known one first, with its interval, chance and unit', () => {
  const item = (index: number, acc: number) => ({
    ...{ index, id: String(index), prompt: 'q', answer: null, expected: null, verdict: null },
    metrics: { acc, acc_norm: 1 - acc },
  });
  const summary = summarise('choices', [1, 1, 0, 1].map((acc, i) => item(i, acc)) as never);
  const [title, first, second] = summaryLines(summary, 2);
  expect(title).toBe('Your own questions with choices: 4 items, 2 examples before each; intervals of 95 %');
  // Wilson's interval of 3 of 4: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n), z = 1.96: 0.3006, 0.9544.
  expect(first).toMatch(/^acc +75\.00 % {2}\[30\.06 %, 95\.44 %\]/);
  expect(second).toMatch(/^acc_norm +25\.00 %/);
  expect(summaryLines(summary, 0)[0]).not.toContain('examples');
  expect([figureOf('acc', 0.5), figureOf('bits_per_byte', 0.5), figureOf('unheard of', 0.5)]).toEqual([
    ...['50.00 %', '0.50000', '0.50000'],
  ]);
});

test('events that came newest first are shown oldest first, with time and words', () => {
  const event = (created_at: number, message: string, level = 'info') =>
    ({ created_at, message, level }) as EventObject;
  expect(eventLines([event(61, 'second', 'error'), event(0, 'first')])).toBe(
    '1970-01-01T00:00:00Z first\n1970-01-01T00:01:01Z second',
  );
});

test('what is known of an export is said a line each, and nothing of what is not', () => {
  const none = { parity: null, rounding: null, notes: [], problem: null } as unknown as ExportReport;
  expect(reportLines(none)).toEqual([]);
  const parity = { max_logit_difference: 0.00123, max_logit: 12.345, top1_agreement: 0.995, tokens: 400 };
  const known = {
    ...none,
    parity,
    rounding: { dtype: 'F16', share: 0.01234 },
    notes: ['a note'],
    problem: 'a problem',
  };
  expect(reportLines(known as unknown as ExportReport)).toEqual([
    'read back: logits differ by at most 0.0012 of 12.3, 99.5 % of 400 best tokens agree',
    'rounded to F16: 1.23 % of the change is lost',
    'a note',
    'a problem',
  ]);
  expect(reportLines({ ...none, rounding: { dtype: 'F32', share: 0 } } as unknown as ExportReport)).toEqual([]);
});

describe('the lab', () => {
  const row = (layer: string, control: boolean, source = 'one'): WeightRow => {
    const figures = {
      singular_values: [2, 1],
      rank_90: 2,
      stable_rank: 1.25,
      overlap: { k: 2, left: 0.5, right: 0.25 },
      cosines: [0.4, 0.9],
      intruders: 1,
    };
    return {
      ...{ source, step: 7, layer, module: 'q_proj', shape: [8, 4], lambda: 1, from: 'adapter', norm: 3 },
      ...{ relative_norm: 0.12345, epsilon: 0.5, ...figures },
      control: control ? { ...figures, rank_90: 4, stable_rank: 2.5, overlap: { k: 2, left: 0.1, right: 0.2 } } : null,
    } as unknown as WeightRow;
  };

  test('has a line a layer, the control in brackets where there is one', () => {
    const lines = layerTable([row('model.layers.0.q_proj', true), row('model.layers.1.q_proj', false)]).split('\n');
    const cells = lines.slice(2).map((line) => columnsOf(line.trim()));
    expect(cells).toEqual([
      ['layers.0.q_proj', '8 × 4', '0.12345', '2 (4)', '1.3 (2.5)', '0.50 (0.10)', '0.25 (0.20)', '1 (1)'],
      ['layers.1.q_proj', '8 × 4', '0.12345', '2', '1.3', '0.50', '0.25', '1'],
    ]);
  });

  test('has means by source and module, and the curve over ε', () => {
    const summary = summariseWeights([row('a', false), row('b', false), row('a', false, 'two')]);
    const means = summaryTable(summary).split('\n').slice(2).map(columnsOf);
    expect(means.map((cells) => cells.slice(0, 3).map((cell) => cell.trim()))).toEqual([
      ['one', 'q_proj', '2'],
      ['two', 'q_proj', '1'],
    ]);
    const [titles, , first] = curveTable(summary).split('\n').map(columnsOf);
    expect(titles?.slice(0, 2)).toEqual(['source', 'module']);
    expect(first).toHaveLength(titles?.length ?? 0);
  });

  test('as CSV has a line each under their names, empty where there is no figure, and quotes what needs it', () => {
    const [names = '', first = '', second = ''] = weightsCsv([row('a, "b"', false), row('c', true)]).split('\n');
    expect(names.split(',').slice(0, 6)).toEqual(['source', 'step', 'layer', 'module', 'out', 'in']);
    expect(first.startsWith('one,7,"a, ""b""",q_proj,8,4,')).toBe(true);
    expect(first.endsWith(',1,,,,,')).toBe(true);
    expect(second.split(',').slice(-5)).toEqual(['4', '2.5', '0.1', '0.2', '1']);
    expect(weightsCsv([])).toBe(names);
  });
});

test('pairs of metadata may hold an equals sign in their value, and need one', () => {
  expect(metadataOf(args())).toBeUndefined();
  expect(metadataOf(args({ repeated: { metadata: ['team=blue', 'x=a=b', 'y='] } }))).toEqual({
    ...{ team: 'blue', x: 'a=b', y: '' },
  });
  expect(() => metadataOf(args({ repeated: { metadata: ['=blue'] } }))).toThrow(
    "--metadata is '=blue', which is no pair.",
  );
});

test('only files of a mix are said to be a part of a run', () => {
  expect(sharesOf()).toEqual([]);
  expect(sharesOf([{ file_id: 'file-1', param: 'training_file', mix: null } as never])).toEqual([]);
});

describe('a list', () => {
  const print = (list: { items: { id: string }[]; hasMore: boolean }, none: string, json = false): [string, string] => {
    const screen = watchScreen(null);
    const errors = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
    try {
      printList(args({ options: { json } }), list, (items) => items.map(({ id }) => id).join(' '), none);
      return [screen.text(), errors.mock.calls.map(([line]) => String(line)).join('')];
    } finally {
      errors.mockRestore();
      screen.close();
    }
  };
  const items = [{ id: 'a' }, { id: 'b' }];

  test('says on standard error that there is more and how to go on, never as JSON', () => {
    expect(print({ items, hasMore: true }, 'none')).toEqual([
      'a b\n',
      'There are more: --all lists every one, --after b goes on.\n',
    ]);
    expect(print({ items, hasMore: true }, 'none', true)).toEqual(['[{"id":"a"},{"id":"b"}]\n', '']);
  });

  test('that is empty says so, or nothing', () => {
    expect(print({ items: [], hasMore: false }, 'none')).toEqual(['none\n', '']);
    expect(print({ items: [], hasMore: false }, '')).toEqual(['', '']);
    expect(print({ items: [], hasMore: false }, 'none', true)).toEqual(['[]\n', '']);
  });
});

describe('a line of progress', () => {
  test('changes in place on a terminal, is cut to its width, and leaves nothing', () => {
    const screen = watchScreen(20);
    try {
      const line = progressLine();
      line.show('a very long line of progress', '1');
      expect(shownLines(screen.text())).toEqual(['a very long line of']);
      line.show('short', '1');
      expect(shownLines(screen.text())).toEqual(['short']);
      line.clear();
      line.clear();
      expect(shownLines(screen.text())).toEqual(['']);
    } finally {
      screen.close();
    }
  });

  test('in a file is a line each time that the step changes', () => {
    const screen = watchScreen(null);
    try {
      const line = progressLine();
      for (const [words, step] of [
        ['1 of 9', '0'],
        ['2 of 9', '0'],
        ['5 of 9', '5'],
      ] as const)
        line.show(words, step);
      line.clear();
      expect(screen.text()).toBe('1 of 9\n5 of 9\n');
    } finally {
      screen.close();
    }
  });
});
