// Installs the packed library into an empty application, as a stranger would, and keeps a session with it.
//
//   npm run pack:try                    Nest 12, ES modules, Fastify
//   npm run pack:try -- nest11          Nest 11, CommonJS, TypeORM 0.3, Express
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startPostgres } from './postgres.mjs';

const APPLICATIONS = {
  nest12: {
    type: 'module',
    platform: 'fastify',
    adapter: 'FastifyAdapter',
    nest: 12,
    typeorm: '^1.1.1',
    resolution: 'nodenext',
  },
  nest11: {
    type: 'commonjs',
    platform: 'express',
    adapter: 'ExpressAdapter',
    nest: 11,
    typeorm: '^0.3.20',
    resolution: 'node16',
  },
};

const name = process.argv[2] ?? 'nest12';
const chosen = APPLICATIONS[name];
if (!chosen) throw new Error(`"${name}" is none of ${Object.keys(APPLICATIONS).join(', ')}`);

const source = `
import 'reflect-metadata';
import { Controller, Get, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ${chosen.adapter} } from '@nestjs/platform-${chosen.platform}';
import { TypeOrmModule } from '@nestjs/typeorm';
import { createSessionDecorator, CreateSessions1764000000000, Session, SessionModule, SessionService } from 'nestjs-typeorm-session';

interface Visits { count: number }
const VisitSession = createSessionDecorator<Visits>();

@Controller('visits')
class VisitsController {
  @Post() async add(@Session() session: Session<Visits>) { return { count: await session.increment('count') }; }
  @Get() read(@VisitSession('count') count: number = 0) { return { count }; }
}

@Controller('service')
class ServiceController {
  constructor(private readonly session: SessionService<Visits>) {}
  @Get() read() { return { count: this.session.get('count', 0), isNew: this.session.isNew }; }
}

const url = process.env.DATABASE_URL;
@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url, autoLoadEntities: true, migrations: [CreateSessions1764000000000], migrationsRun: true, connectTimeoutMS: 2000 }),
    SessionModule.forRoot({ guardAll: true, secrets: ['a secret that is long enough to be one'] }),
  ],
  controllers: [VisitsController, ServiceController],
})
class AppModule {}

async function main() {
  const app = await NestFactory.create(AppModule, new ${chosen.adapter}(), { logger: ['error', 'warn'] });
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  console.log('listening ' + await app.getUrl());
}
void main();
`;

const folder = mkdtempSync(join(tmpdir(), `session-try-${name}-`));
// What npm and tsc have to say goes to stderr: the result alone is ours.
const run = (command, args, cwd = folder) => execFileSync(command, args, { cwd, stdio: ['ignore', 2, 2] });
const postgres = await startPostgres();
let application;
try {
  run(
    'npm',
    ['pack', '--pack-destination', folder, '--loglevel=error'],
    fileURLToPath(new URL('../libs/session', import.meta.url)),
  );
  const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type: chosen.type }));
  const { nest, platform, typeorm } = chosen;
  const packages = ['common', 'core', `platform-${platform}`, 'typeorm'].map((part) => `@nestjs/${part}@${nest}`);
  run('npm', [
    'install',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    ...packages,
    `typeorm@${typeorm}`,
    'pg',
    'rxjs',
    'reflect-metadata',
    'typescript@~6.0.3',
    '@types/node@20',
    '@types/express@5',
    `./${tarball}`,
  ]);
  writeFileSync(join(folder, 'main.ts'), source);
  // The packed declarations are checked too, in full strictness.
  const strict = ['--strict', '--skipLibCheck', 'false', '--experimentalDecorators', '--emitDecoratorMetadata'];
  run('npx', [
    'tsc',
    'main.ts',
    '--ignoreConfig',
    '--module',
    chosen.resolution,
    '--moduleResolution',
    chosen.resolution,
    '--target',
    'es2022',
    '--types',
    'node',
    ...strict,
  ]);
  application = spawn(process.execPath, ['main.js'], {
    cwd: folder,
    env: { ...process.env, DATABASE_URL: postgres.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await listening(application);
  await keepASession(url);
  console.log(
    `${name}: installed from ${tarball}, compiled (strict), booted and kept a session (Node ${process.version})`,
  );
} finally {
  if (application && application.exitCode === null) {
    const exited = once(application, 'exit');
    application.kill('SIGTERM');
    await exited;
  }
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function listening(child) {
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('listening ')) return line.slice('listening '.length);
  }
  throw new Error('the application ended before it listened');
}

async function keepASession(url) {
  const stranger = await fetch(`${url}/visits`);
  expect('a read sets no cookie', stranger.headers.getSetCookie().length, 0);
  const first = await fetch(`${url}/visits`, { method: 'POST' });
  const [line = ''] = first.headers.getSetCookie();
  const [cookie] = line.split(';');
  expect(
    'a write sets the cookie',
    /^sid=[\w-]{43}\.[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/.test(line),
    true,
  );
  expect('the first visit', await first.json(), { count: 1 });
  const second = await fetch(`${url}/visits`, { method: 'POST', headers: { cookie } });
  expect('the second visit', await second.json(), { count: 2 });
  const read = await fetch(`${url}/visits`, { headers: { cookie } });
  expect('the decorator reads it', await read.json(), { count: 2 });
  const service = await fetch(`${url}/service`, { headers: { cookie } });
  expect('the service reads it', await service.json(), { count: 2, isNew: false });
}

function expect(what, actual, wanted) {
  if (JSON.stringify(actual) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(wanted)}`);
  }
}
