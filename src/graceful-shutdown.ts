import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type BeforeApplicationShutdown,
  Controller,
  Get,
  type OnApplicationBootstrap,
  ServiceUnavailableException,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { SkipSession } from 'nestjs-typeorm-session';

/**
 * A process that is told to end goes on serving for DRAIN_MS milliseconds, and says meanwhile at `/ready` that no more
 * requests shall be sent to it. Then it stops listening, what is under way finishes, and the database is let go of.
 *
 * The pause is for who sends requests to learn of it. A connection that is waiting to be accepted when a process stops
 * listening is reset, and nobody can tell whether its request was read.
 */
@Controller('ready')
@SkipSession()
export class GracefulShutdown implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private isDraining = false;

  constructor(private readonly host: HttpAdapterHost) {}

  /** `GET /ready` → 200 or 503. */
  @Get()
  ready(): { status: 'ready' } {
    if (this.isDraining) throw new ServiceUnavailableException('This process is shutting down.');
    return { status: 'ready' };
  }

  onApplicationBootstrap(): void {
    const server = this.host.httpAdapter.getHttpServer() as Server;
    server.on('request', (_request, response) => {
      // The connection is closed when its answer is complete, so that the next request opens one elsewhere.
      if (this.isDraining && !response.headersSent) response.setHeader('connection', 'close');
      response.once('close', () => {
        // Of what was under way when it began. Idle connections would keep the server open for seconds.
        if (this.isDraining) setImmediate(() => server.closeIdleConnections());
      });
    });
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.isDraining = true;
    await delay(Number(process.env.DRAIN_MS ?? 0));
  }
}
