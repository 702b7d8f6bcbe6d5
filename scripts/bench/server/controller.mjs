// The same handlers for all: what differs is the door to the session.
import { Controller, Get, Inject, Param, Post } from '@nestjs/common';
import { payloadLength, sessionData } from '../session-data.mjs';

/**
 * @typedef {object} Door
 * @property {object[]} [imports] Nest modules
 * @property {(app: object) => unknown} [prepare] before it listens
 * @property {() => ParameterDecorator} [Parameter] what handlers get
 * @property {unknown} [injected] what the controller gets instead
 * @property {(handle: any, key: string) => any} get
 * @property {(handle: any, key: string, value: string) => unknown} set
 * @property {(handle: any, data: object) => Promise<unknown>} [signIn] a new session with this data
 */

/** @param {Door} door */
export function benchController({ Parameter, injected, get, set, signIn }) {
  class BenchController {
    constructor(handle) {
      this.handle = handle;
    }

    read(handle = this.handle) {
      return { visitor: get(handle, 'visitor') ?? null, value: get(handle, 'value') ?? null };
    }

    /** The value that was there before is the proof that the write before it was kept. */
    async write(handle = this.handle, value) {
      const answer = this.read(handle);
      await set(handle, 'value', value);
      return answer;
    }

    async signIn(handle = this.handle, visitor, kilobytes) {
      await signIn(handle, sessionData(visitor, Number(kilobytes)));
      return { visitor };
    }

    whole(handle = this.handle) {
      return { ...this.read(handle), length: payloadLength((key) => get(handle, key)) };
    }
  }
  // JavaScript has no decorators yet; these are functions.
  Controller()(BenchController);
  if (injected) Inject(injected)(BenchController, undefined, 0);
  const route = (method, decorator, parameters = []) => {
    const target = [BenchController.prototype, method];
    decorator(...target, Object.getOwnPropertyDescriptor(...target));
    if (Parameter && !injected) Parameter()(...target, 0);
    for (const [index, name] of parameters.entries()) Param(name)(...target, index + 1);
  };
  route('read', Get('read'));
  route('whole', Get('whole'));
  route('write', Post('write/:value'), ['value']);
  route('signIn', Post('sign-in/:visitor/:kilobytes'), ['visitor', 'kilobytes']);
  return BenchController;
}
