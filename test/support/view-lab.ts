import { Controller, Get, HttpCode, Options, Param, Post, Req, Res } from '@nestjs/common';
import type { Platform } from './app.js';
import type { Client, Reply, RequestOptions } from './client.js';
import { Lab, useLabOf, type Answer, type LabOptions } from './lab.js';

/** `req.session` as a test sees it: anything may be a value. */
export interface View extends Record<string, any> {
  readonly id: string;
  cookie: any;
  save(callback?: (error?: unknown) => void): Promise<void>;
  regenerate(callback?: (error?: unknown) => void): Promise<void>;
  destroy(callback?: (error?: unknown) => void): Promise<void>;
  reload(callback?: (error?: unknown) => void): Promise<void>;
  touch(callback?: (error?: unknown) => void): Promise<void>;
}

export interface ViewRequest {
  session: View;
  readonly sessionID: string;
  readonly method: string;
}

type ViewStep<R> = (request: ViewRequest, response: ViewResponse) => R | Promise<R>;

/** What Express's and Fastify's have in common. */
export interface ViewResponse {
  redirect(path: string): unknown;
}

const steps = new Map<string, ViewStep<unknown>>();

@Controller()
class ViewController {
  @Post('view/:step')
  @HttpCode(200)
  async view(@Req() request: ViewRequest, @Param('step') step: string) {
    return { value: await steps.get(step)!(request, undefined as never) };
  }

  /** Ends where the step ends it, as handlers with callbacks do. */
  @Post('callback/:step')
  callback(@Req() request: ViewRequest, @Res() response: ViewResponse, @Param('step') step: string) {
    void steps.get(step)!(request, response);
  }

  @Options('preflight')
  @HttpCode(200)
  preflight(@Req() { session }: ViewRequest) {
    const keys = Object.keys(session);
    try {
      session.a = 2;
    } catch (error) {
      return { keys, code: (error as { code?: string }).code };
    }
    return { keys };
  }

  @Get('untouched')
  untouched() {
    return { value: 'untouched' };
  }
}

/** A lab whose handlers have the request in hand. */
export class ViewLab extends Lab {
  /** One request whose handler is the step. */
  see<R>(client: Client, step: ViewStep<R>, options?: RequestOptions): Promise<Reply<Answer<R>>> {
    return client.post<Answer<R>>(this.pathToView(step), undefined, options);
  }

  pathToView(step: ViewStep<unknown>, door: 'view' | 'callback' = 'view'): string {
    const name = String(steps.size);
    steps.set(name, step);
    return `/${door}/${name}`;
  }

  /** What the step returned; the response has to be 200. */
  async seen<R>(client: Client, step: ViewStep<R>): Promise<R> {
    const reply = await this.see(client, step);
    if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
    return reply.body.value;
  }

  async verbsOfView(client: Client, step: ViewStep<unknown>): Promise<string[]> {
    this.proxy.reset();
    await this.see(client, step);
    return this.verbs;
  }
}

/** Two nodes with `req.session`, for the tests of a describe block. */
export function useViewLab(platform: Platform, { session, controllers = [], ...rest }: LabOptions = {}): ViewLab {
  return useLabOf(new ViewLab(), platform, {
    session: { requestSession: true, ...session },
    controllers: [ViewController, ...controllers],
    ...rest,
  });
}
