/** What `validate` says that each process will need, and what the system counted when the job was trained. Linux. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestCluster } from './cluster.js';
import { runCommand } from './command.js';

export interface WideJob {
  readonly name: string;
  readonly inputs: number;
  readonly classes: number;
  /** Units of the hidden layers, each with a relu. */
  readonly hidden: readonly number[];
  /** Lines of `train:` after the first, and what follows it. */
  readonly settings: string;
}

export interface MemoryPeak {
  readonly process: string;
  readonly peakBytes: number;
  readonly saidBytes: number;
}

/** Trains the job on a cluster of its own, on made-up rows: two of each class. */
export async function memoryPeaks(job: WideJob, workers: number, threads: number): Promise<readonly MemoryPeak[]> {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-memory-'));
  try {
    const [jobPath, rowsPath] = [join(folder, 'job.yaml'), join(folder, 'rows.csv')];
    const text = textOf(job);
    await writeFile(jobPath, text);
    await writeFile(rowsPath, rowsFor(job));
    const cluster = ['--workers', String(workers), '--threads', String(threads)];
    const { stdout } = await runCommand(['validate', jobPath, '--json', ...cluster]);
    const { memory } = (JSON.parse(stdout) as Validated).plan;
    await using running = await startTestCluster({ workers, threads });
    await running.finish({ text, files: { 'rows.csv': rowsPath } });
    const ofWorkers = running.workers.map(async ({ name, process }) => ({
      process: name,
      peakBytes: await mostResidentBytes(process.pid),
      saidBytes: memory.worker.peakBytes,
    }));
    const peakBytes = await mostResidentBytes(running.coordinator.pid);
    const saidBytes = memory.coordinator.peakBytes;
    return [...(await Promise.all(ofWorkers)), { process: 'coordinator', peakBytes, saidBytes }];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of the output of `validate --json`. */
interface Validated {
  readonly plan: { readonly memory: Readonly<Record<'worker' | 'coordinator', { readonly peakBytes: number }>> };
}

function textOf({ name, hidden, settings }: WideJob): string {
  const layers = hidden.map((units) => `{ dense: ${units} }, relu`).join(', ');
  return `apiVersion: ropeteam/v1
name: ${name}
data: { source: rows.csv, target: label, split: { validation: 0, test: 0 } }
model: { layers: [${layers}] }
train:
  optimizer: adam
${settings}`;
}

function rowsFor({ inputs, classes }: WideJob): string {
  const names = Array.from({ length: inputs }, (_, input) => `x${input}`);
  const lines = Array.from({ length: 2 * classes }, (_, row) => [
    ...names.map((_name, input) => ((row + 1) * (input + 7)) % 101),
    `class${row % classes}`,
  ]);
  return `${[[...names, 'label'], ...lines].map((cells) => cells.join(',')).join('\n')}\n`;
}

/** The most of a process that was resident at once, pages of the Node.js binary included, as a container counts it. */
export async function mostResidentBytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
}
