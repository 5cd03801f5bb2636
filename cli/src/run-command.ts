/** The `ropeteam` command: from the process to the command line and back to an exit code. */
import { runCommandLine } from './command-line/program.js';
import type { Context } from './context.js';
import { readEnvironment } from './environment.js';
import { type Interrupts, listenForInterrupts } from './interrupts.js';
import { openTerminal } from './terminal.js';

/** Runs the command line of this process and sets its exit code. */
export async function runCommand(): Promise<void> {
  process.exitCode = await exitCodeOfCommand();
}

async function exitCodeOfCommand(): Promise<number> {
  const environment = readEnvironment(process.env);
  const terminal = openTerminal(process.stdout, process.stderr, environment, process.stdin);
  using interrupts = listenForInterrupts(process);
  endQuietlyWhenNobodyReads(interrupts);
  // An error of a stream nobody listens to, a promise nobody waits for: told like any other, and nothing stays behind.
  process.once('uncaughtException', (error) => {
    void import('./failure.js').then(({ reportFailure }) => process.exit(reportFailure(error, terminal, environment)));
  });
  const context: Context = { terminal, environment, interrupts, directory: process.cwd() };
  try {
    return await runCommandLine(process.argv.slice(2), context);
  } catch (error) {
    const { reportFailure } = await import('./failure.js');
    return reportFailure(error, terminal, environment);
  }
}

/** `ropeteam runs | head -1` closes our stdout: no error, but whatever was started must still be stopped. */
function endQuietlyWhenNobodyReads(interrupts: Interrupts): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      interrupts.raise('SIGPIPE', 'immediate');
    });
  }
}
