
import { setTimeout as delay } from 'node:timers/promises';
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { it } from '@jest/globals';
import { SessionModule } from 'nestjs-typeorm-session';
import { EntrySessionStore, type Entries } from './entry-store.js';
import { describeSessionStore } from 'nestjs-typeorm-session/testing';

describeSessionStore('EntrySessionStore', async () => {
  const entries = await openEntries();
  return { store: new EntrySessionStore(entries), close: () => entries.close() };
});

async function openEntries(): Promise<Entries & { close(): Promise<void> }> {
  const map = new Map<string, { text: string; revision: number }>();
  let revision = 0;
  const net = () => delay(Math.random() < 0.1 ? 1 : 0);
  return {
    async now() { return Date.now(); },
    async get(name) { await net(); return map.get(name); },
    async put(name, text, expected) { await net(); if (map.get(name)?.revision !== expected) return false; map.set(name, { text, revision: ++revision }); return true; },
    async delete(name, expected) { await net(); return map.get(name)?.revision === expected && map.delete(name); },
    async names(prefix) { return [...map.keys()].filter((n) => n.startsWith(prefix)); },
    async close() {},
  };
}
@Controller() class CartController { @Get() get() { return 1; } }
declare const secrets: string[];
it('doc', async () => {
const { MemorySessionStore } = await import("nestjs-typeorm-session/testing");

const clock = { now: Date.now() };
const store = new MemorySessionStore({ now: () => clock.now });
const module = await Test.createTestingModule({
  imports: [SessionModule.forRoot({ store, guardAll: true })],
  controllers: [CartController],
}).compile();

// A day without a visit.
clock.now += 86_400_000;

await module.createNestApplication().init();
});
export function forRoot(entries: Entries) {
@Module({ imports: [SessionModule.forRoot({ store: new EntrySessionStore(entries), secrets })] })
class AppModule {}

return AppModule; }
