/** How the command ends: every error becomes a short text on stderr and an exit code. */
import { CommanderError } from 'commander';
import { formatError, nearest } from '#job';
import { limitReached } from '#limits';
import { exitCodeOf, fromEnvelope, RopeteamError } from '#training';
import type { Environment } from './environment.js';
import { Interrupted } from './interrupts.js';
import type { Terminal } from './terminal.js';

/** Something nobody foresaw. */
const EXIT_UNEXPECTED = 1;
const EXIT_USAGE = 2;

/** Says what went wrong and returns the exit code. A stack trace only where `debug` asks for it. */
export function reportFailure(
  thrown: unknown,
  terminal: Terminal,
  { debug, commandName }: Pick<Environment, 'debug' | 'commandName'>,
): number {
  const limit = limitReached(thrown);
  const error = limit === undefined ? firstThrown(thrown) : fromEnvelope(limit, firstThrown(thrown));
  // The user knows: they did it.
  if (error instanceof Interrupted) return error.exitCode;
  if (isClosedPipe(error)) return 0;
  if (error instanceof CommanderError) return reportUsage(error, terminal, commandName);
  if (error instanceof RopeteamError) {
    terminal.say(formatError(error, { color: terminal.colourTalk }));
    // A mistyped word needs no page; of several problems each has its own code.
    const isPlain = error.code === 'USAGE.ARGUMENT' || error.problems.length > 0;
    if (!isPlain) terminal.say(terminal.paintTalk('dim', `  more: ${commandName} explain ${error.code}`));
    if (debug) terminal.say(stackOf(error));
    return exitCodeOf(error.code);
  }
  const message = error instanceof Error ? error.message : String(error);
  terminal.say(`${terminal.paintTalk('red', 'error')}: ${message.split('\n', 1)[0]}`);
  terminal.say(debug ? stackOf(error) : 'This was not foreseen. Repeat it with ROPETEAM_DEBUG=1 for the details.');
  return EXIT_UNEXPECTED;
}

/** Whoever read our output has enough (`ropeteam predict … | head`): there is nobody left to tell, and nothing is wrong. */
function isClosedPipe(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    error.code === 'EPIPE' &&
    'syscall' in error &&
    error.syscall === 'write'
  );
}

/** Where closing what was open failed as well, the error before that is the cause of it all. */
function firstThrown(error: unknown): unknown {
  const isLater = error instanceof Error && error.name === 'SuppressedError' && 'suppressed' in error;
  return isLater ? firstThrown(error.suppressed) : error;
}

/** Help and version were asked for and are printed; the rest is wrong usage, told in commander's words. */
function reportUsage(error: CommanderError, terminal: Terminal, commandName: string): number {
  if (error.exitCode === 0) return 0;
  const [said = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const hint =
    nearestChoice(said) ??
    suggestion?.replace(/^\((.*)\)$/, '$1').replace(/^Did/, 'did') ??
    secretOption(said) ??
    `see \`${commandName} --help\``;
  const usage = new RopeteamError('USAGE.ARGUMENT', { argument: /'([^']*)'/.exec(said)?.[1] ?? '' }, said, { hint });
  terminal.say(formatError(usage, { color: terminal.colourTalk }));
  return EXIT_USAGE;
}

/** Of an option that is none and would have held a secret: others read the list of processes. */
function secretOption(said: string): string | undefined {
  if (!/^unknown option '--[\w-]*(token|password|passwd|secret|credential|api-?key)\b/i.test(said)) return undefined;
  return 'a secret does not belong on a command line, where `ps` shows it: put it into a file or a variable (docs/security.md)';
}

/** Of options and arguments with a few words to choose from commander names all, but not the one that was meant. */
function nearestChoice(said: string): string | undefined {
  const [, given, words] = /'([^']*)' is invalid\b.*Allowed choices are (.*)\.$/.exec(said) ?? [];
  const near = given === undefined ? undefined : nearest(given, words?.split(', ') ?? []);
  return near === undefined ? undefined : `did you mean ${near}?`;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by: ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
