/** What `validate` says each process will need, held against what the system counted. Linux. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startTestCluster } from '../support/cluster.js';
import { runCommand } from '../support/command.js';

/** 12.7 million parameters: with Adam, most of both processes is what the model needs. */
const JOB = `apiVersion: ropeteam/v1
name: wide
data: { source: rows.csv, target: label, split: { validation: 0, test: 0 } }
model: { layers: [{ dense: 2048 }, relu, { dense: 4096 }, relu] }
train: { steps: 4, batch: 128, microBatches: 2, optimizer: adam }
`;
const INPUTS = 64;
const CLASSES = 1000;

/** A tenth, and not more. */
const MARGIN = 0.1;

test('the memory that validate predicts for a worker and the coordinator is what they come to need, within a tenth', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-memory-'));
  try {
    const job = join(folder, 'job.yaml');
    const rows = join(folder, 'rows.csv');
    await writeFile(job, JOB);
    const names = Array.from({ length: INPUTS }, (_, input) => `x${input}`);
    const lines = Array.from({ length: 2 * CLASSES }, (_, row) => [
      ...names.map((_name, input) => ((row + 1) * (input + 7)) % 101),
      `class${row % CLASSES}`,
    ]);
    await writeFile(rows, `${[[...names, 'label'], ...lines].map((cells) => cells.join(',')).join('\n')}\n`);
    const { stdout } = await runCommand(['validate', job, '--json', '--workers', '1', '--threads', '1']);
    const { plan } = JSON.parse(stdout) as {
      readonly plan: { readonly memory: Readonly<Record<'worker' | 'coordinator', { readonly peakBytes: number }>> };
    };
    await using cluster = await startTestCluster({ workers: 1, threads: 1 });
    await cluster.finish({ text: JOB, files: { 'rows.csv': rows } });
    const [worker] = cluster.workers;
    const peaks = {
      worker: await peakBytes(worker?.process.pid),
      coordinator: await peakBytes(cluster.coordinator.pid),
    };
    for (const [name, peak] of Object.entries(peaks)) {
      const { peakBytes: predicted } = plan.memory[name as keyof typeof peaks];
      expect(Math.abs(peak / predicted - 1), `${name}: ${peak} bytes, predicted ${predicted}`).toBeLessThan(MARGIN);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);

/** The most that was resident at once. */
async function peakBytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
}
