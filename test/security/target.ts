/** What is attacked: a coordinator that trains, and the certificates of those who are let in and of those who are not. */
import type { TlsIdentity } from '#protocol';
import type { RedisHandle } from '#queues';
import type { Role } from '#training';

export interface Target {
  readonly host: string;
  readonly port: number;
  /** URL of live page and metrics. */
  readonly http: string;
  readonly redis: RedisHandle;
  readonly identities: Readonly<Record<Role, TlsIdentity>>;
  /** Of an authority that nobody trusts. */
  readonly stranger: TlsIdentity;
  /** Of ours, and over. */
  readonly expired: TlsIdentity;
  /** For the worker `named` alone. */
  readonly named: TlsIdentity;
  readonly tokens: { readonly viewer: string; readonly metrics: string };
}

export interface Attack {
  /** Begins with the number of the goal or bad input. */
  readonly name: string;
  /** What becomes of it: the text that `run` resolves with. */
  readonly result: string;
  run(target: Target): Promise<string>;
}

/** Not the address honest ones come from: who is slowed down for this one is not slowed down for them. */
export const ATTACKER = '127.0.0.66';
