/** The commands as plain data: what completion and docs/cli.md are written from. */
import type { Argument, Command, Option } from 'commander';
import { exampleOf } from './options.js';

export interface KnownOption {
  /** `--threads`; the whole of it, `--threads <n>`, is in `flags`. */
  readonly name: string;
  readonly flags: string;
  readonly description: string;
  readonly takesValue: boolean;
  readonly required: boolean;
  readonly choices: readonly string[];
  /** What is taken when it is not given; undefined where there is nothing to say of that. */
  readonly otherwise: string | undefined;
}

export interface KnownArgument {
  /** `<job>`, or `[run]` where it may be left out. */
  readonly term: string;
  readonly description: string;
  readonly choices: readonly string[];
  readonly otherwise: string | undefined;
}

export interface KnownCommand {
  readonly name: string;
  /** Heading in the overview under which it stands. */
  readonly group: string;
  readonly description: string;
  readonly arguments: readonly KnownArgument[];
  readonly options: readonly KnownOption[];
  /** What follows `ropeteam` in its example. */
  readonly example: string | undefined;
  /** Its own commands, as of `certs`. */
  readonly commands: readonly KnownCommand[];
}

/** The commands of a program, or of one of its commands, in the order of the help. */
export function knownCommands(program: Command): readonly KnownCommand[] {
  return program.createHelp().visibleCommands(program).map(knownCommand);
}

/** What is taken when an option or argument is not given, as people read it; a switch that is off goes without saying. */
export function defaultOf({
  defaultValue,
  defaultValueDescription,
}: Pick<Option, 'defaultValue' | 'defaultValueDescription'>): string | undefined {
  if (defaultValueDescription !== undefined) return defaultValueDescription;
  return typeof defaultValue === 'string' || typeof defaultValue === 'number' ? String(defaultValue) : undefined;
}

function knownCommand(command: Command): KnownCommand {
  return {
    name: command.name(),
    group: command.helpGroup(),
    description: command.description(),
    arguments: command.registeredArguments.map(knownArgument),
    options: command.createHelp().visibleOptions(command).flatMap(knownOption),
    example: exampleOf(command),
    commands: knownCommands(command),
  };
}

function knownArgument(argument: Argument): KnownArgument {
  const name = argument.name();
  return {
    term: argument.required ? `<${name}>` : `[${name}]`,
    choices: argument.argChoices ?? [],
    ...told(argument),
  };
}

function knownOption(option: Option): readonly KnownOption[] {
  const { long, flags, mandatory, required, optional, argChoices } = option;
  if (long === undefined || long === null) return [];
  return [
    {
      name: long,
      flags,
      takesValue: required || optional,
      required: mandatory,
      choices: argChoices ?? [],
      ...told(option),
    },
  ];
}

/** Where a default is words of the description, `port (default: any)`, they are taken apart. */
function told(one: Argument | Option): Pick<KnownOption, 'description' | 'otherwise'> {
  const [, text, words] = /^(.*) \(default: (.*)\)$/.exec(one.description) ?? [];
  return { description: text ?? one.description, otherwise: defaultOf(one) ?? words };
}
