/** The question of a gRPC probe, as a kubelet asks it: plaintext, with the standard health service. */
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath } from 'grpc-health-check';

const DEADLINE_MS = 2000;

/** Is the service SERVING? An unreachable one is not. */
export async function askHealth(address: string, service: string): Promise<boolean> {
  const definition = loadPackageDefinition(loadSync(protoPath, { enums: String }));
  // Its shape is that of grpc.health.v1, which the package brings.
  const { grpc } = definition as unknown as { grpc: { health: { v1: { Health: ServiceClientConstructor } } } };
  const client = new grpc.health.v1.Health(address, credentials.createInsecure());
  try {
    return await new Promise((resolve) => {
      client.check?.(
        { service },
        { deadline: Date.now() + DEADLINE_MS },
        (error: Error | null, answer?: { readonly status: string }) =>
          resolve(error === null && answer?.status === 'SERVING'),
      );
    });
  } finally {
    client.close();
  }
}
