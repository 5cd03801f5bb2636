/** docs/cli.md: every command, argument and option, from the definitions that `--help` and completion are made of. */
import {
  type KnownArgument,
  type KnownCommand,
  type KnownOption,
  knownCommands,
} from '../../cli/src/command-line/known-commands.js';
import { buildProgram } from '../../cli/src/command-line/program.js';
import type { Context } from '../../cli/src/context.js';
import { code, page, sentence, table } from './markdown.js';

const INTRODUCTION = `# Command line

Written by \`node scripts/write-reference.mjs\` from the definitions that \`--help\` and \`completion\` use; a test holds it to them.

Results go to stdout, everything else to stderr. In a clone it is \`npx ropeteam\`. Every command has \`--help\`; options stand before
or after the arguments of their command. With \`ropeteam completion SHELL\` the shell knows all of this.

${table(
  ['Exit code', 'Means'],
  [
    ['0', 'Done'],
    ['1', 'The run failed: it diverged, its data broke, nothing could go on'],
    ['2', 'Wrong usage, job file or data'],
    ['3', 'The machine or a service lacks something: Redis, a port, disk, a certificate'],
    ['130, 143', 'Interrupted: Ctrl-C, SIGTERM'],
  ],
)}

Settings of a job, for \`--set\`, are in [job-file.md](job-file.md), codes of errors in [errors.md](errors.md).`;

/** The whole page. Nothing is run: the context is only what the commands would be given. */
export function commandLinePage(context: Context): string {
  const commands = knownCommands(buildProgram(context, () => undefined));
  const groups = [...new Set(commands.map(({ group }) => group))];
  return page([
    INTRODUCTION,
    ...groups.flatMap((group) => [
      `## ${group.replace(/:$/, '')}`,
      ...commands.filter((command) => command.group === group).flatMap((command) => describe(command, '')),
    ]),
  ]);
}

function describe(command: KnownCommand, above: string): readonly string[] {
  const words = above + command.name;
  const { options, commands } = command;
  const own = options.filter(({ name }) => name !== '--help');
  return [
    `${above === '' ? '###' : '####'} ${words}`,
    sentence(command.description),
    ['```sh', ...(command.example === undefined ? [] : [`ropeteam ${command.example}`]), '```'].join('\n'),
    table(['Argument', 'Default', 'Meaning'], command.arguments.map(argumentRow)),
    table(['Option', 'Default', 'Meaning'], own.map(optionRow)),
    ...commands.flatMap((child) => describe(child, `${words} `)),
  ];
}

function argumentRow({ term, description, choices, otherwise }: KnownArgument): readonly string[] {
  const fallback = term.startsWith('<') ? 'required' : fallbackCell(otherwise);
  return [code(term), fallback, meaning(description, choices)];
}

function optionRow({ flags, description, required, choices, otherwise }: KnownOption): readonly string[] {
  return [code(flags), required ? 'required' : fallbackCell(otherwise), meaning(description, choices)];
}

/** One word is what would be typed; several are an explanation. */
function fallbackCell(otherwise: string | undefined): string {
  if (otherwise === undefined) return '';
  return otherwise.includes(' ') ? otherwise : code(otherwise);
}

function meaning(description: string, choices: readonly string[]): string {
  const text = sentence(description);
  return choices.length === 0 ? text : `${text} One of ${choices.map(code).join(', ')}.`;
}
