/** Entry of the thread of `parquet-trial.ts`: decodes what it is told to and keeps nothing. */
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { RopeteamError } from '#training';
import { openParquet } from './parquet-file.js';
import type { TrialData } from './parquet-trial.js';

async function tryOut(port: NonNullable<typeof parentPort>): Promise<void> {
  const { file } = workerData as TrialData; // of the one caller
  await using parquet = await openParquet(file);
  const asked = once(port, 'message');
  port.postMessage('opened');
  const [columns] = (await asked) as [readonly string[]];
  for await (const group of parquet.groups(columns)) {
    for (const column of columns) await group.read(column);
  }
}

if (parentPort === null) throw new Error('this file is the entry of a thread');
const port = parentPort;
tryOut(port)
  .catch((error: unknown) => {
    // What is told of a file is told by whoever reads it in earnest, in the same words.
    if (!(error instanceof RopeteamError)) throw error;
  })
  .finally(() => {
    port.postMessage('done');
    port.close();
  });
