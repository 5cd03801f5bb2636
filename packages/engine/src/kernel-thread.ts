/** Entry of a kernel thread, started by `thread-crew`. */
import { workerData } from 'node:worker_threads';
import { teamRoutines } from '#kernel';
import { createAveragerPerformer } from './averager-performer.js';
import { instantiateKernel } from './kernel-loading.js';
import { serveCommands } from './thread-service.js';
import type { ThreadSetup } from './thread-setup.js';
import { createThreadTeam } from './thread-team.js';
import { createWorkerPerformer, type WorkerKernels } from './worker-performer.js';

const setup: ThreadSetup = workerData; // only the engines start this file
const { index, control, memory, wasmModule } = setup;

function workerKernels(): WorkerKernels {
  const team = createThreadTeam(control);
  return {
    own: instantiateKernel(memory, wasmModule),
    together: instantiateKernel(memory, wasmModule, (routines) => teamRoutines(routines, team)),
    team,
  };
}

serveCommands(
  index,
  control,
  setup.role === 'worker'
    ? createWorkerPerformer(setup, workerKernels())
    : createAveragerPerformer(setup, instantiateKernel(memory, wasmModule)),
);
