/** `submit`, `runs`, `watch` and `stop`: their options and help. */
import type { Command } from 'commander';
import type { RunId } from '#training';
import type { RemoteOptions, StopOptions, SubmitOptions, WatchOptions } from '../commands/remote.js';
import type { Context } from '../context.js';
import {
  addCommand,
  addJobChanges,
  coordinatorOption,
  everyStepFlag,
  flag,
  insecureOption,
  jsonFlag,
  type OnExit,
  parseRunId,
  REMOTE,
  runIdOption,
  saveEveryOption,
  tlsOption,
} from './options.js';

export function addRemoteCommands(program: Command, context: Context, onExit: OnExit): void {
  addSubmit(program, context, onExit);
  addRuns(program, context, onExit);
  addWatch(program, context, onExit);
  addStop(program, context, onExit);
}

function addSubmit(program: Command, context: Context, onExit: OnExit): void {
  const command = addCommand(program, 'submit', {
    group: REMOTE,
    description: 'send a job and its data, print the id of the run',
    example: 'submit job.yaml --watch',
  });
  addJobChanges(command)
    .argument('<job>', 'job file')
    .addOption(coordinatorOption())
    .addOption(tlsOption())
    .addOption(insecureOption())
    .addOption(runIdOption())
    .addOption(saveEveryOption())
    .addOption(flag('--watch', 'follow the run to its end'))
    .addOption(jsonFlag('the run, with --watch its events, as JSON'))
    .addOption(everyStepFlag())
    .addOption(flag('--quiet', 'with --watch: no progress, only the summary'))
    .action(async (job: string, options: SubmitOptions) => {
      const { submit } = await import('../commands/remote.js');
      onExit(await submit(job, options, context));
    });
}

function addRuns(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'runs', { group: REMOTE, description: 'list the runs, newest first', example: 'runs --json' })
    .addOption(coordinatorOption())
    .addOption(tlsOption())
    .addOption(insecureOption())
    .addOption(jsonFlag('the runs as one JSON array'))
    .action(async (options: RemoteOptions) => {
      const { runs } = await import('../commands/remote.js');
      onExit(await runs(options, context));
    });
}

function addWatch(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'watch', {
    group: REMOTE,
    description: 'follow a run; q or Ctrl-C leaves it running',
    example: 'watch digits-7f3a',
  })
    .argument('[run]', 'id of the run (default: the one at work, or the last one)', parseRunId)
    .addOption(coordinatorOption())
    .addOption(tlsOption())
    .addOption(insecureOption())
    .addOption(jsonFlag('events on stdout, one JSON object a line'))
    .addOption(everyStepFlag())
    .addOption(flag('--quiet', 'no progress, only the summary'))
    .action(async (run: RunId | undefined, options: WatchOptions) => {
      const { watch } = await import('../commands/remote.js');
      onExit(await watch(run, options, context));
    });
}

function addStop(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'stop', {
    group: REMOTE,
    description: 'end a run at its next step and keep its model',
    example: 'stop digits-7f3a',
  })
    .argument('<run>', 'id of the run', parseRunId)
    .addOption(coordinatorOption())
    .addOption(tlsOption())
    .addOption(insecureOption())
    .option('--reason <text>', 'for the log of the run', 'stopped by the user')
    .addOption(jsonFlag('the run as one JSON object'))
    .action(async (run: RunId, options: StopOptions) => {
      const { stop } = await import('../commands/remote.js');
      onExit(await stop(run, options, context));
    });
}
