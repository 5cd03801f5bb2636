/**
 * The command line of `ropeteam`. What a command does is loaded when it runs: help and typos are answered before gRPC,
 * Redis and the kernel are even read from disk.
 */
import { readFileSync } from 'node:fs';
import { type Argument, Command, Help, type Option } from 'commander';
import type { Context } from '../context.js';
import { addCertsCommands } from './certs-commands.js';
import { addHelpCommands } from './help-commands.js';
import { defaultOf } from './known-commands.js';
import { addLocalCommands } from './local-commands.js';
import { addModelCommands } from './model-commands.js';
import type { OnExit } from './options.js';
import { addRemoteCommands } from './remote-commands.js';
import { addServiceCommands } from './service-commands.js';

/**
 * Runs one command line and returns its exit code. Help and version go to stdout.
 * @throws CommanderError for wrong usage, RopeteamError, Interrupted
 */
export async function runCommandLine(words: readonly string[], context: Context): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(context, (code) => {
    exitCode = code;
  });
  if (words.length === 0) program.outputHelp();
  else await program.parseAsync(words, { from: 'user' });
  return exitCode;
}

/** Every command and option there is: what is run, and what help, completion and docs/cli.md are written from. */
export function buildProgram(context: Context, onExit: OnExit): Command {
  const program = emptyProgram(context);
  addLocalCommands(program, context, onExit);
  addModelCommands(program, context, onExit);
  addRemoteCommands(program, context, onExit);
  addServiceCommands(program, context, onExit);
  addHelpCommands(program, context, onExit);
  addCertsCommands(program, context, onExit);
  return program;
}

function emptyProgram({ terminal, environment }: Context): Command {
  return (
    new Command('ropeteam')
      // One paragraph: with a blank line between the two the overview would not fit a screen.
      .usage('<command> [options]\nTrains one model on many processes: the same job gives the same weights.')
      .version(packageVersion(), '-v, --version')
      .helpCommand(false)
      .exitOverride()
      .configureOutput({
        writeOut: (text) => terminal.result(text.replace(/\n+$/, '')),
        // What was wrong is told once, by whoever catches the error.
        writeErr: () => undefined,
        getOutHelpWidth: () => terminal.columns(),
        // Plain text: commander would decide about colour a second time.
        getOutHasColors: () => false,
      })
      .configureHelp({
        optionDescription: described,
        argumentDescription: described,
        subcommandTerm: briefTerm,
        visibleOptions: ownOptions,
      })
      .addHelpText('after', () => rootExamples(environment.commandName))
  );
}

/** The overview has one screen; the two options of `ropeteam` itself are in its last line. */
function ownOptions(this: Help, command: Command): Option[] {
  return command.parent === null ? [] : Help.prototype.visibleOptions.call(this, command);
}

/** The description with what may be given and what is taken otherwise; a switch needs neither. */
function described(one: Option | Argument): string {
  const choices = one.argChoices === undefined ? [] : [one.argChoices.join(', ')];
  const otherwise = defaultOf(one);
  const facts = [...choices, ...(otherwise === undefined ? [] : [`default: ${otherwise}`])];
  return facts.length === 0 ? one.description : `${one.description} (${facts.join('; ')})`;
}

/** `train <job>`: that there are options goes without saying. */
function briefTerm(this: Help, command: Command): string {
  const words = command.registeredArguments.map((argument) => this.argumentTerm(argument));
  const marks = command.registeredArguments.map(({ required }, index) =>
    required ? `<${words[index]}>` : `[${words[index]}]`,
  );
  return [command.name(), ...marks].join(' ');
}

/** Ours, at the root of the checkout or the package: dist/cli/src/command-line/ is four folders below. */
function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8'));
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) return String(manifest.version);
  throw new Error('package.json has no version');
}

function rootExamples(name: string): string {
  return `
Examples (every command has --help with its own):
  ${name} train examples/digits/job.yaml --workers 2
  ${name} validate job.yaml`;
}
