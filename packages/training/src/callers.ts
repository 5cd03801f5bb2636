/** Who is at the other end of a connection, and what became of a call. */
import type { ErrorCode } from './errors.js';
import type { WorkerId } from './identities.js';

/** What a certificate or a token allows; of a certificate it is the organizational unit (OU) of its subject. */
export const ROLES = ['coordinator', 'worker', 'viewer', 'submitter', 'admin', 'metrics'] as const;
export type Role = (typeof ROLES)[number];

export interface Caller {
  /** `address:port` it calls from. */
  readonly peer: string;
  /** Undefined: no certificate, or one that names no role. */
  readonly role?: Role;
  /** SHA-256 of its certificate, hexadecimal. */
  readonly fingerprint?: string;
  /** The names its certificate may join by; absent: any, as a certificate that several workers share has it. */
  readonly workers?: readonly string[];
}

/** A call that changes something, or one that was refused: what the audit log wants to know. */
export interface CallRecord {
  readonly caller: Caller;
  /** `submitRun`, `session`, … */
  readonly call: string;
  /** Run or worker. */
  readonly subject?: string;
  readonly outcome: 'done' | ErrorCode;
}

/** A worker that asks to be let in. */
export interface Applicant {
  readonly worker: WorkerId;
  readonly caller: Caller;
  /** Never logged. */
  readonly joinToken?: string;
}
