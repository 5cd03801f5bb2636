/** `certs init`, `certs issue` and `certs token`: who may sign in where. */
import { Argument, type Command, Option } from 'commander';
import { ROLES, type Role } from '#training';
import type { CertsInitOptions, CertsIssueOptions, CertsTokenOptions } from '../commands/certs.js';
import type { Context } from '../context.js';
import { addCommand, HELP, jsonFlag, type OnExit, wholeNumber } from './options.js';

const STEPS = 'Commands:';

export function addCertsCommands(program: Command, context: Context, onExit: OnExit): void {
  const certs = addCommand(program, 'certs', {
    group: HELP,
    description: 'a private authority and certificates',
    example: 'certs init --host coordinator.example.org,10.0.0.7',
  }).helpCommand(false);
  addCommand(certs, 'init', {
    group: STEPS,
    description: 'make an authority, a certificate for each role, and tokens for the live page',
    example: 'certs init --host coordinator.example.org,10.0.0.7',
  })
    .addOption(dirOption('folder to make'))
    .addOption(hostOption())
    .addOption(daysOption())
    .addOption(jsonFlag('the files as one JSON object'))
    .action(async (options: CertsInitOptions) => {
      const { certsInit } = await import('../commands/certs.js');
      onExit(await certsInit(options, context));
    });
  addCommand(certs, 'issue', {
    group: STEPS,
    description: 'make another certificate of the same authority',
    example: 'certs issue worker --name w1 --days 90',
  })
    .addArgument(new Argument('<role>', 'what it is for').choices(ROLES))
    .addOption(dirOption('folder of the set, with the authority’s key'))
    .addOption(hostOption())
    .option('--name <name>', 'the one name this worker may join by (default: any)')
    .option('--out <dir>', 'folder to make (default: in --dir, named after the role)')
    .addOption(daysOption())
    .addOption(jsonFlag('folder and fingerprint as one JSON object'))
    .action(async (role: Role, options: CertsIssueOptions) => {
      const { certsIssue } = await import('../commands/certs.js');
      onExit(await certsIssue(role, options, context));
    });
  addCommand(certs, 'token', {
    group: STEPS,
    description: 'let one worker’s certificate in, where the coordinator has --join-tokens',
    example: 'certs token --worker certs/worker-w1',
  })
    .requiredOption('--worker <dir>', 'folder of its certificate; the token is written into it')
    .option('--join-tokens <dir>', 'the folder that the coordinator looks in', 'join-tokens')
    .addOption(new Option('--minutes <n>', 'how long it is good for').argParser(wholeNumber(1, 1440)).default(10))
    .addOption(jsonFlag('file and fingerprint as one JSON object'))
    .action(async (options: CertsTokenOptions) => {
      const { certsToken } = await import('../commands/certs.js');
      onExit(await certsToken(options, context));
    });
}

function dirOption(description: string): Option {
  return new Option('--dir <dir>', description).default('certs');
}

function hostOption(): Option {
  return new Option('--host <names>', 'where others reach the coordinator, commas between').default('localhost');
}

function daysOption(): Option {
  return new Option('--days <n>', 'how long it is valid').argParser(wholeNumber(1, 3650)).default(365);
}
