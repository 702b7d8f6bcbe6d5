import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config as object;
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);

/** As the strictest of applications would compile it, with the package as it is imported when it is installed. */
const strictest: ts.CompilerOptions = {
  ...options,
  noEmit: true,
  skipLibCheck: false,
  strictPropertyInitialization: true,
  types: ['node'],
  paths: {
    'nestjs-typeorm-session': [join(ROOT, 'libs/session/src/index.ts')],
    'nestjs-typeorm-session/types/*': [join(ROOT, 'libs/session/types/*.d.ts')],
  },
};

/** What is wrong with a program of this one file, and with the declarations of ours that it uses. */
function complaints(code: string): string[] {
  const path = join(ROOT, 'test/express-api/application.ts');
  const host = ts.createCompilerHost(strictest);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (name) => name === path || fileExists(name);
  host.readFile = (name) => (name === path ? code : readFile(name));
  host.getSourceFile = (name, version, ...rest) =>
    name === path ? ts.createSourceFile(name, code, version) : getSourceFile(name, version, ...rest);
  const program = ts.createProgram([path], strictest, host);
  const files = program
    .getSourceFiles()
    .filter(({ fileName }) => fileName === path || /libs\/session\/types|@types\/express/.test(fileName));
  return [
    ...program.getGlobalDiagnostics(),
    ...files.flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]),
  ].map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

/** What all of them can do. */
const USES = `
  const cart: string[] | undefined = request.session.cart;
  request.session.cart = ['book'];
  delete request.session.cart;
  request.session.cookie.maxAge = 1000;
  request.session.cookie.expires = new Date();
  const id: string = request.session.id + request.sessionID;
  const saved: Promise<void> = Promise.resolve(request.session.save()).then(() => undefined);
  await request.session.regenerate();
  await request.session.destroy();
  await request.session.reload();
  request.session.save((error) => console.log(error, cart, id, saved));
  request.session.regenerate((error) => console.log(error));
  request.session.destroy((error) => console.log(error));
  // @ts-expect-error a key that nobody declared
  request.session.card;
  // @ts-expect-error a value of another type
  request.session.cart = [1];
`;
const APPLICATION = `import { requestSession, SessionModule } from 'nestjs-typeorm-session';
  export const module = SessionModule.forRoot({ requestSession: true });
  export const use = requestSession;
`;

describe('the types of req.session', () => {
  it('come along on Express', () => {
    const code = `${APPLICATION}
      import type { Request } from 'express';
      import 'nestjs-typeorm-session/types/express';
      declare module 'nestjs-typeorm-session/types/express' { interface SessionData { cart: string[] } }
      export async function handle(request: Request) {${USES}}`;
    expect(complaints(code)).toEqual([]);
  }, 180_000);

  it('are those of @types/express-session with what an application has added there, and promises', () => {
    const code = `${APPLICATION}
      import type { Request } from 'express';
      import 'nestjs-typeorm-session/types/express-session';
      declare module 'express-session' { interface SessionData { cart: string[] } }
      export async function handle(request: Request) {${USES}}`;
    expect(complaints(code)).toEqual([]);
  }, 180_000);

  it('come along on Fastify, beside those of @fastify/passport', () => {
    const code = `${APPLICATION}
      import type { FastifyRequest } from 'fastify';
      import '@fastify/passport';
      import '@fastify/csrf-protection';
      import 'nestjs-typeorm-session/types/fastify';
      declare module 'nestjs-typeorm-session/types/fastify' { interface SessionData { cart: string[] } }
      export async function handle(request: FastifyRequest) {${USES}
        const more: string[] | undefined = request.session.get('cart');
        request.session.set('cart', more);
        request.session.set('passport', 1);
        await request.logOut();
        await request.session.regenerate(['cart']);
      }`;
    expect(complaints(code)).toEqual([]);
  }, 180_000);

  it('are none of the business of an application that does not import them', () => {
    const code = `${APPLICATION}
      import type { Request } from 'express';
      import session from 'express-session';
      export const middleware = session({ secret: 'x' });
      export const handle = (request: Request) => request.session.save((error) => console.log(error));
      // @ts-expect-error it is called back, and no promise
      export const wait = (request: Request) => request.session.regenerate();`;
    expect(complaints(code)).toEqual([]);
    const without = `${APPLICATION}
      import type { Request } from 'express';
      // @ts-expect-error nobody has declared it
      export const handle = (request: Request) => request.session;`;
    expect(complaints(without)).toEqual([]);
  }, 180_000);
});
