/** Which role may make which call. What has no rule is refused, and a method without one does not compile. */
import { type MethodDefinition, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { type Caller, type CallRecord, ROLES, type Role, RopeteamError } from '#training';
import { toStatus } from './error-status.js';
import { runMethods, trainingMethods } from './proto-definitions.js';

type MethodName = keyof typeof trainingMethods | keyof typeof runMethods;

/** For whoever has signed in with a certificate. */
export const callRules: { readonly [Name in MethodName]: readonly Role[] } = {
  session: ['worker'],
  fetchShard: ['worker'],
  submitRun: ['submitter', 'admin'],
  listRuns: ['viewer', 'submitter', 'admin'],
  watchRun: ['viewer', 'submitter', 'admin'],
  stopRun: ['submitter', 'admin'],
  resumeRun: ['submitter', 'admin'],
};

/** What probes and load balancers ask; it tells no more than that somebody is there. */
const HEALTH = ['/grpc.health.v1.Health/Check', '/grpc.health.v1.Health/Watch', '/grpc.health.v1.Health/List'];

const rulesByPath = new Map<string, readonly Role[]>([
  ...Object.entries({ ...trainingMethods, ...runMethods }).map(
    ([name, { path }]): [string, readonly Role[]] => [path, callRules[name as MethodName]], // the keys of both tables
  ),
  ...HEALTH.map((path): [string, readonly Role[]] => [path, ROLES]),
]);

/** Roles that may call a method, by its full path; none for a method nobody has made a rule for. */
export function rolesFor(path: string): readonly Role[] {
  return rulesByPath.get(path) ?? [];
}

/**
 * Answers PERMISSION_DENIED with AUTH.ROLE to calls that the caller's role may not make, before a handler hears of them.
 */
export function guardCalls(
  callerOf: (peer: string) => Caller,
  onRefused: (record: CallRecord) => void,
): ServerInterceptor {
  return ({ path }: Pick<MethodDefinition<unknown, unknown>, 'path'>, call) => {
    const caller = callerOf(call.getPeer());
    const allowed = rolesFor(path);
    if (caller.role !== undefined && allowed.includes(caller.role)) return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: () => {
            onRefused({ caller, call: shortName(path), outcome: 'AUTH.ROLE' });
            call.sendStatus(toStatus(notAllowed(caller.role, path, allowed)));
          },
        }),
    });
  };
}

/** Somebody who is not let in chose the path: for logs it is short and plain. */
function shortName(path: string): string {
  return path
    .slice(path.lastIndexOf('/') + 1)
    .replaceAll(/[^A-Za-z0-9_]/g, '?')
    .slice(0, 64);
}

function notAllowed(role: Role | undefined, path: string, allowed: readonly Role[]): RopeteamError {
  const who = role === undefined ? 'a certificate without a role' : `the role ${role}`;
  const call = shortName(path);
  const hint = `Use a certificate for: ${allowed.join(', ') || 'nobody may'}.`;
  return new RopeteamError('AUTH.ROLE', { role: role ?? 'none', call }, `${who} may not call ${call}`, { hint });
}
