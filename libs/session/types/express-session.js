// Types alone: see express-session.d.ts.
