import { explain } from '@moraine/contract';
import type { DoctorReport, NvidiaReport } from '@moraine/engine/install';
import { type Command, noMoreThan } from '../args.js';
import { bytes, labelled, paint, print } from '../terminal.js';

export const doctorCommand: Command = {
  name: 'doctor',
  forms: ['[--json]'],
  options: { json: { type: 'boolean', help: 'The whole report as JSON.' } },
  run: async (args) => {
    noMoreThan(args, 0, doctorCommand);
    const { doctor } = await import('@moraine/engine/install');
    const report = { ...(await doctor()), sandbox: await checkSandbox() };
    if (args.options.json) {
      print(JSON.stringify(report, null, 2));
      return report.problems.length === 0 ? 0 : 1;
    }
    print(reportView(report));
    return report.problems.length === 0 ? 0 : 1;
  },
};

/** What a machine has, a line each, then what is missing and what to do about it. */
export function reportView(report: DoctorReport & { sandbox: string | null }): string {
  const { device, runtime, nvidia, python, compiler } = report;
  const driver = nvidia
    ? `${nvidia.cards.join(', ') || 'NVIDIA'}, driver ${nvidia.version ?? 'of unknown version'} (${nvidia.library ?? 'libcuda.so.1 not found'})`
    : 'no NVIDIA driver';
  const rows: [string, string][] = [
    ['Node', `${report.node} on ${report.platform}`],
    ['TensorFlow', report.tensorflow ? `${report.tensorflow}${runtime ? ` (${runtime.variant})` : ''}` : 'not loaded'],
    ['Device', device ? `${device.kind.toUpperCase()}: ${device.name}` : 'none'],
    ['Driver', driver],
    ...cudaRows(nvidia),
    ['Processor', `${report.processor}, ${report.cores} cores`],
    ['bfloat16', bfloat16Row(device)],
    ['Memory', `${bytes(report.memoryBytes)}, ${bytes(report.memoryFreeBytes)} free`],
    ['Cache', `${report.cache}, ${bytes(report.diskFreeBytes)} free on its disk`],
    ['Python', python ? `${python.version}, pip ${python.pip ?? 'missing'} (${python.program})` : 'not found'],
    ['Compiler', compiler ? compiler.version : 'not found'],
    ['Sandbox', report.sandbox ?? 'ready: code that a model writes can be run (bubblewrap)'],
  ];
  const verdict =
    report.problems.length === 0
      ? [paint('green', 'Ready to train.')]
      : report.problems.map(({ what, fix }) => `${paint('yellow', '!')} ${what}\n  ${fix}`);
  return [labelled(rows), ...verdict].join('\n\n');
}

/** Why code that a model writes cannot be run here, with what to install; null where it can. Nothing else needs it. */
async function checkSandbox(): Promise<string | null> {
  const { requireSandbox } = await import('@moraine/recipes/sandbox');
  return requireSandbox().then(() => null, explain);
}

/** Whether mode `bf16` is worth taking on the device that computes. */
function bfloat16Row(device: DoctorReport['device']): string {
  if (device === null || device.kind === 'gpu') return 'not looked at';
  return device.bfloat16 === null
    ? 'not multiplied by this processor: mode bf16 is slower than plain here'
    : `multiplied (${device.bfloat16}): mode bf16 is faster than plain for bases of some 10M parameters and more`;
}

/** What a machine with an NVIDIA driver has for computing on it. */
function cudaRows(nvidia: NvidiaReport | null): [string, string][] {
  if (nvidia === null) return [];
  const { cuda, visible } = nvidia;
  const cards =
    visible === undefined ? 'the first card (CUDA_VISIBLE_DEVICES is not set)' : `CUDA_VISIBLE_DEVICES=${visible}`;
  if (cuda === null) return [['Visible', cards]];
  const missing = cuda.missing.map(({ file }) => file).join(', ');
  return [
    ['Visible', cards],
    ['CUDA', missing === '' ? 'every library found' : `missing: ${missing}`],
    ['ptxas', cuda.ptxas ?? 'not found'],
    ['libdevice', cuda.libdevice ?? 'not found'],
  ];
}
