import { limitReached } from '#limits';
import { exitCodeOf, fromEnvelope, RopeteamError, toEnvelope } from '#training';

/** Ends this process on an error: says why on stderr, and to the process that started this one. Exit code by the error's area. */
export function endWithFailure(error: unknown): void {
  const known = knownError(error);
  const hint = known?.hint === undefined ? '' : ` (${known.hint})`;
  process.stderr.write(`${known === undefined ? String(error) : `${known.code}: ${known.message}${hint}`}\n`);
  const exit = (): never => process.exit(known === undefined ? 1 : exitCodeOf(known.code));
  if (known === undefined || process.send === undefined) exit();
  else process.send({ event: 'failed', error: toEnvelope(known) }, exit);
}

/** What users can make something of: a limit of the system that is behind it, else the error itself where it has a code. */
export function knownError(error: unknown): RopeteamError | undefined {
  const limit = limitReached(error);
  if (limit !== undefined) return fromEnvelope(limit, error);
  return error instanceof RopeteamError ? error : undefined;
}
