/**
 * How far is the memory that `validate` predicts from what each process comes to need? Linux.
 *
 *     node dist/bench/memory-forecast.js [--repeats 3] [--workers 1,2,3] [--threads 1] [--models small,13M,46M]
 *
 * One line a process; `said` over `peak` is above 100 % where too much was said. The 46 million need 4 GB and a minute a run.
 */
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { memoryPeaks, type WideJob } from '../test/support/memory-peaks.js';

const MODELS: Readonly<Record<string, WideJob>> = {
  small: { name: 'small', inputs: 64, classes: 10, hidden: [64], settings: '  steps: 1500\n  batch: 20\n' },
  '13M': {
    name: 'wide',
    inputs: 64,
    classes: 1000,
    hidden: [2048, 4096],
    settings: '  steps: 8\n  batch: 128\n  microBatches: 2\ncheckpoint: { everySteps: 4 }\n',
  },
  '46M': {
    name: 'w6',
    inputs: 2048,
    classes: 1000,
    hidden: [4096, 4096, 4096],
    settings: '  steps: 4\n  batch: 256\ncheckpoint: { everySteps: 2 }\n',
  },
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      repeats: { type: 'string', default: '3' },
      workers: { type: 'string', default: '1,2,3' },
      threads: { type: 'string', default: '1' },
      models: { type: 'string', default: Object.keys(MODELS).join(',') },
    },
  });
  const table = new Table({ head: ['model', 'workers', 'threads', 'process', 'peak MB', 'said MB', 'said : peak'] });
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
  for (const name of values.models.split(',')) {
    const job = MODELS[name];
    if (job === undefined) throw new Error(`no model is called ${name}; there are ${Object.keys(MODELS).join(', ')}`);
    for (const workers of values.workers.split(',').map(Number)) {
      for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
        for (const { process, peakBytes, saidBytes } of await memoryPeaks(job, workers, Number(values.threads))) {
          const share = `${((100 * saidBytes) / peakBytes).toFixed(0)} %`;
          table.push([name, workers, values.threads, process, megabytes(peakBytes), megabytes(saidBytes), share]);
        }
      }
    }
  }
  process.stdout.write(`${table.toString()}\n`);
}

await main();
