import { admitCertificate } from '#storage';
import type { Logger } from '#telemetry';
import { RopeteamError, startFailureLimit, type WorkerSession } from '#training';

type Applicant = Pick<WorkerSession, 'hello' | 'caller' | 'joinToken'>;

/**
 * Lets in workers whose certificates are admitted, or bring the token that admits them; the others are told no more than
 * that. Whoever guesses is slowed down.
 * @param folder absent: every certificate of the role is enough
 * @returns throws AUTH.JOIN for a worker that stays out
 */
export function openAdmission(folder: string | undefined, log: Logger): (applicant: Applicant) => void {
  if (folder === undefined) return () => undefined;
  const limit = startFailureLimit();
  return ({ hello: { worker }, caller: { fingerprint = '', peer }, joinToken }) => {
    const now = performance.now();
    const waitMs = limit.wait(fingerprint, now);
    const reason = waitMs > 0 ? 'too many tries' : admitCertificate(folder, fingerprint, joinToken);
    if (reason === undefined) return;
    if (waitMs === 0 && joinToken !== undefined) limit.failed(fingerprint, now);
    log.warn('worker_not_admitted', { worker, peer, fingerprint, reason });
    throw new RopeteamError('AUTH.JOIN', { worker }, `the coordinator does not let the worker ${worker} in`, {
      hint: 'Get a new token for its certificate, where the coordinator runs: ropeteam certs token --worker FOLDER',
    });
  };
}
