/** `init`, `doctor`, `bench`, `schema`, `explain` and `completion`: before and beside training. */
import { Argument, type Command, Option } from 'commander';
import type { BenchmarkName, BenchOptions } from '../commands/bench.js';
import type { DoctorOptions } from '../commands/doctor.js';
import type { ExplainOptions } from '../commands/explain.js';
import type { InitOptions } from '../commands/init.js';
import type { Context } from '../context.js';
import { SHELLS, type Shell } from './completion-script.js';
import { addCommand, flag, HELP, jsonFlag, type OnExit, outOption, redisOption, repeatsOption } from './options.js';

export function addHelpCommands(program: Command, context: Context, onExit: OnExit): void {
  addInit(program, context, onExit);
  addDoctor(program, context, onExit);
  addBench(program, context, onExit);
  addExplain(program, context, onExit);
  addSchema(program, context);
  addCompletion(program, context);
}

function addInit(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'init', {
    group: HELP,
    description: 'write a job.yaml for a file of data',
    example: 'init --data wine.csv --target quality',
  })
    .argument('[file]', 'the job file to write', 'job.yaml')
    .option('--data <file>', 'what to train on (default: the digits, which are copied here)')
    .option('--target <column>', 'the column to predict')
    .option('--labels <file>', 'of NPY and IDX: the file of the labels')
    .addOption(flag('--force', 'overwrite the file if it is there'))
    .addOption(jsonFlag('what was found as one JSON object'))
    .action(async (file: string, options: InitOptions) => {
      const { init } = await import('../commands/init.js');
      onExit(await init(file, options, context));
    });
}

function addDoctor(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'doctor', {
    group: HELP,
    description: 'is this machine ready? every finding with its fix',
    example: 'doctor',
  })
    .addOption(outOption())
    .addOption(redisOption())
    .addOption(jsonFlag('the findings as one JSON object'))
    .action(async (options: DoctorOptions) => {
      const { doctor } = await import('../commands/doctor.js');
      onExit(await doctor(options, context));
    });
}

function addBench(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'bench', {
    group: HELP,
    description: 'how fast is the kernel, a step, and all of it beside PyTorch?',
    example: 'bench kernel --quick',
  })
    .addArgument(
      new Argument('[what]', 'kernel: arithmetic; step: all else; peers: beside PyTorch and scikit-learn')
        .choices(['kernel', 'step', 'peers'])
        .default('kernel'),
    )
    .addOption(flag('--quick', 'of kernel and peers: rough figures'))
    .addOption(new Option('--only <names>', 'of kernel: a section; of peers: workloads, as W3,W4'))
    .addOption(flag('--markdown', 'of peers: the tables as in docs/benchmarks.md'))
    .addOption(repeatsOption())
    .addOption(jsonFlag('the figures as one JSON object'))
    .action(async (what: BenchmarkName, options: BenchOptions) => {
      const { bench } = await import('../commands/bench.js');
      onExit(await bench(what, options, context));
    });
}

function addSchema(program: Command, context: Context): void {
  addCommand(program, 'schema', {
    group: HELP,
    description: 'print the JSON schema of job.yaml',
    example: 'schema > job.schema.json',
  }).action(async () => {
    const { printSchema } = await import('../commands/schema.js');
    printSchema(context);
  });
}

function addExplain(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'explain', {
    group: HELP,
    description: 'what an error code means, and what to do',
    example: 'explain DATA.LABEL',
  })
    .argument('[code]', 'an error code (default: all of them)')
    .addOption(jsonFlag('the same as JSON'))
    .action(async (code: string | undefined, options: ExplainOptions) => {
      const { explain } = await import('../commands/explain.js');
      onExit(await explain(code, options, context));
    });
}

function addCompletion(program: Command, { terminal }: Context): void {
  addCommand(program, 'completion', {
    group: HELP,
    description: 'print the completion script of a shell',
    example: 'completion bash >> ~/.bashrc',
  })
    .addArgument(new Argument('<shell>', 'whose').choices([...SHELLS]))
    .action(async (shell: Shell) => {
      const { completionScript } = await import('./completion-script.js');
      terminal.result(completionScript(program, shell));
    });
}
