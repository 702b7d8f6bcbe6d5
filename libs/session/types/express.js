// Types alone: see express.d.ts.
