/** Entry of a kernel thread, started by `thread-crew`. */
import { workerData } from 'node:worker_threads';
import { createAveragerPerformer } from './averager-performer.js';
import { instantiateKernel } from './kernel-loading.js';
import { serveCommands } from './thread-service.js';
import type { ThreadSetup } from './thread-setup.js';
import { createThreadTeam } from './thread-team.js';
import { createWorkerPerformer, type WorkerKernels } from './worker-performer.js';

const setup: ThreadSetup = workerData; // only the engines start this file
const { index, control, memory, kernel } = setup;

async function workerKernels(): Promise<WorkerKernels> {
  const team = createThreadTeam(control);
  return {
    own: await instantiateKernel(memory, kernel),
    together: await instantiateKernel(memory, kernel, team),
    team,
  };
}

serveCommands(
  index,
  control,
  setup.role === 'worker'
    ? createWorkerPerformer(setup, await workerKernels())
    : createAveragerPerformer(setup, await instantiateKernel(memory, kernel)),
);
