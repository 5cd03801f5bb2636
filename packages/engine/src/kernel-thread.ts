/** Entry of a kernel thread, started by `thread-crew`. */
import { workerData } from 'node:worker_threads';
import { createAveragerPerformer } from './averager-performer.js';
import { instantiateKernel } from './kernel-loading.js';
import { serveCommands } from './thread-service.js';
import type { ThreadSetup } from './thread-setup.js';
import { createWorkerPerformer } from './worker-performer.js';

const setup: ThreadSetup = workerData; // only the engines start this file
const kernel = await instantiateKernel(setup.memory, setup.kernel);
serveCommands(
  setup.index,
  setup.control,
  setup.role === 'worker' ? createWorkerPerformer(setup, kernel) : createAveragerPerformer(setup, kernel),
);
