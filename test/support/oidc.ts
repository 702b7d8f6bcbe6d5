import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { allowInsecureRequests, discovery, type Configuration } from 'openid-client';
import { Client, type Reply } from './client.js';

export interface OidcProvider {
  /** What `openid-client` goes by. */
  readonly config: Configuration;
  /**
   * What a browser does when the application has sent it to the provider: follows it there until it is sent back.
   *
   * @returns where it is sent, at the application
   */
  signIn(location: string): Promise<string>;
  close(): Promise<void>;
}

/** A provider on loopback that knows the application, and ends with the test. */
export async function startOidcProvider(redirectUris: readonly string[]): Promise<OidcProvider> {
  const script = fileURLToPath(new URL('./oidc-provider.mjs', import.meta.url));
  const child = fork(script, [JSON.stringify(redirectUris)], { stdio: ['ignore', 'pipe', 'ignore', 'ipc'] });
  const issuer = await issuerOf(child);
  // Over HTTP, which is for loopback alone.
  const config = await discovery(new URL(issuer), 'shop', 'secret of the shop', undefined, {
    execute: [allowInsecureRequests],
  });
  return {
    config,
    async signIn(location) {
      const browser = new Client(issuer);
      let next = location;
      while (next.startsWith(issuer)) next = locationOf(await browser.get(next), issuer);
      return next;
    },
    async close() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    },
  };
}

async function issuerOf(child: ChildProcess): Promise<string> {
  const [text] = (await Promise.race([
    once(child.stdout!, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('the OpenID provider did not start'))),
  ])) as [Buffer];
  return text.toString().trim();
}

export function locationOf(reply: Reply, base: string): string {
  const location = reply.headers.get('location');
  if (!location) throw new Error(`no redirect, but ${reply.status} ${reply.text}`);
  return new URL(location, base).href;
}
