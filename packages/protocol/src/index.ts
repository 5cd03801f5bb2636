export {
  type CoordinatorServer,
  type CoordinatorServerOptions,
  LIVENESS_SERVICE,
  type ServerLimits,
  startCoordinatorServer,
} from './coordinator-server.js';
export { type ConnectOptions, connectCoordinator } from './coordinator-session.js';
export { isRetryable } from './error-status.js';
export { collectFrameGarbageAtOnce } from './frame-garbage.js';
export { encodeState, encodeWeights } from './frames.js';
export { type Authority, createAuthority, type Holder, issueCertificate, type Period } from './issue-certificates.js';
export type { WireBytes } from './listener.js';
export { type ClientOptions, connectClient, type RunClient } from './run-client.js';
export type { LocalFile, LocalSubmission } from './run-submit.js';
export { copyBytes } from './shared-copy.js';
export { type Clock, systemClock } from './silence-watch.js';
export {
  fingerprintOf,
  IDENTITY_FILES,
  JOIN_TOKEN_FILE,
  readJoinToken,
  readTlsIdentity,
  type TlsIdentity,
} from './tls-identity.js';
export type { RefusedHandshake } from './tls-listener.js';
