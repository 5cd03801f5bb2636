/** `train`, `resume`, `up`, `validate`, `verify` and `chaos`: their options and help. */
import { type Command, Option } from 'commander';
import type { ChaosOptions } from '../commands/chaos.js';
import type { ResumeOptions } from '../commands/resume.js';
import type { TrainOptions } from '../commands/train.js';
import type { UpOptions } from '../commands/up.js';
import type { ValidateOptions } from '../commands/validate.js';
import type { VerifyOptions } from '../commands/verify.js';
import type { Context } from '../context.js';
import { DEFAULT_HTTP_PORT, DEFAULT_PORT } from '../default-ports.js';
import {
  addCommand,
  addJobChanges,
  dataCacheSizeOption,
  dataMemoryOption,
  everyStepFlag,
  faultSeedOption,
  flag,
  grainOption,
  insecureOption,
  jsonFlag,
  kernelOption,
  LOCAL,
  type OnExit,
  outOption,
  portOption,
  recomputeOption,
  redisOption,
  runIdOption,
  saveEveryOption,
  setOption,
  threadsOption,
  tlsOption,
  workersOption,
} from './options.js';

export function addLocalCommands(program: Command, context: Context, onExit: OnExit): void {
  addTrain(program, context, onExit);
  addResume(program, context, onExit);
  addUp(program, context, onExit);
  addValidate(program, context, onExit);
  addVerify(program, context, onExit);
  addChaos(program, context, onExit);
}

function addTrain(program: Command, context: Context, onExit: OnExit): void {
  const command = addCommand(program, 'train', {
    group: LOCAL,
    description: 'one run, from a job file to a trained model',
    example: 'train job.yaml --workers 4 --set train.epochs=10',
  });
  addJobChanges(command)
    .argument('<job>', 'job file')
    .addOption(workersOption())
    .addOption(threadsOption())
    .addOption(kernelOption())
    .addOption(grainOption())
    .addOption(dataMemoryOption())
    .addOption(dataCacheSizeOption())
    .addOption(outOption())
    .addOption(runIdOption())
    .addOption(saveEveryOption())
    .addOption(redisOption())
    .addOption(jsonFlag('events on stdout, one JSON object a line'))
    .addOption(everyStepFlag())
    .addOption(flag('--quiet', 'no progress, only the summary'))
    .addOption(flag('--verbose', 'the logs of the services on stderr'))
    .action(async (job: string, options: TrainOptions) => {
      const { train } = await import('../commands/train.js');
      onExit(await train(job, options, context));
    });
}

function addResume(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'resume', {
    group: LOCAL,
    description: 'go on with a run that was stopped or lost',
    example: 'resume runs/digits-7f3a --workers 4',
  })
    .argument('[run]', 'folder of the run; with --coordinator its id (default: the last one there)')
    .option('--coordinator <host:port>', 'have this one take it up; default: a cluster of its own, on this machine')
    .addOption(tlsOption())
    .addOption(insecureOption())
    .addOption(workersOption())
    .addOption(threadsOption())
    .addOption(kernelOption())
    .addOption(grainOption())
    .addOption(dataMemoryOption())
    .addOption(dataCacheSizeOption())
    .addOption(redisOption())
    .addOption(jsonFlag('events on stdout, one JSON object a line'))
    .addOption(everyStepFlag())
    .addOption(flag('--quiet', 'no progress, only the summary'))
    .addOption(flag('--verbose', 'the logs of the services on stderr'))
    .action(async (run: string | undefined, options: ResumeOptions) => {
      const { resume } = await import('../commands/resume.js');
      onExit(await resume(run, options, context));
    });
}

function addUp(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'up', {
    group: LOCAL,
    description: 'coordinator and workers, kept running until Ctrl-C',
    example: 'up --workers 4',
  })
    .addOption(workersOption())
    .addOption(threadsOption())
    .addOption(kernelOption())
    .addOption(grainOption())
    .addOption(dataMemoryOption())
    .addOption(dataCacheSizeOption())
    .addOption(outOption())
    .addOption(portOption('--port <n>', 'gRPC port', DEFAULT_PORT))
    .addOption(portOption('--http-port <n>', 'port of live page and metrics', DEFAULT_HTTP_PORT))
    .addOption(redisOption())
    .addOption(jsonFlag('the addresses as one JSON object'))
    .addOption(flag('--verbose', 'the logs of the services on stderr'))
    .action(async (options: UpOptions) => {
      const { up } = await import('../commands/up.js');
      onExit(await up(options, context));
    });
}

function addValidate(program: Command, context: Context, onExit: OnExit): void {
  const command = addCommand(program, 'validate', {
    group: LOCAL,
    description: 'check job and data; what would training take?',
    example: 'validate job.yaml --workers 4',
  });
  addJobChanges(command)
    .argument('<job>', 'job file')
    .addOption(workersOption())
    .addOption(threadsOption())
    .addOption(flag('--data', 'also what lies in the columns, and what is odd about them'))
    .addOption(jsonFlag('the plan, or what is wrong, as one JSON object'))
    .action(async (job: string, options: ValidateOptions) => {
      const { validate } = await import('../commands/validate.js');
      onExit(await validate(job, options, context));
    });
}

function addVerify(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'verify', {
    group: LOCAL,
    description: 'prove from its ledger what a run trained',
    example: 'verify runs/digits-1 --recompute 3 --data examples/digits',
  })
    .argument('<run>', 'folder of a run, or its id')
    .addOption(outOption())
    .addOption(recomputeOption())
    .addOption(new Option('--data <dir>', 'of --recompute: where the job file’s data is (default: here)'))
    .addOption(jsonFlag('the checks as one JSON object'))
    .action(async (run: string, options: VerifyOptions) => {
      const { verify } = await import('../commands/verify.js');
      onExit(await verify(run, options, context));
    });
}

/** Written out, so that `--help` need not load what carries them out. */
const DEFAULT_FAULTS = 'worker-kill,worker-pause,coordinator-kill,redis-flush,redis-kill,connection-cut';

function addChaos(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'chaos', {
    group: LOCAL,
    description: 'train while everything is killed: are the bits the same?',
    example: 'chaos job.yaml --seed 1 --workers 3 --every 2s',
  })
    .argument('<job>', 'job file')
    .addOption(faultSeedOption())
    .addOption(workersOption().default(3))
    .option('--every <time>', 'from one fault to the next, on average', '2s')
    .option('--faults <kinds>', 'kinds of faults, commas between', DEFAULT_FAULTS)
    .addOption(setOption())
    .addOption(threadsOption())
    .addOption(kernelOption())
    .addOption(grainOption())
    .addOption(outOption())
    .addOption(jsonFlag('events and faults on stdout, one JSON object a line'))
    .addOption(flag('--verbose', 'the logs of the services on stderr'))
    .action(async (job: string, options: ChaosOptions) => {
      const { chaos } = await import('../commands/chaos.js');
      onExit(await chaos(job, options, context));
    });
}
