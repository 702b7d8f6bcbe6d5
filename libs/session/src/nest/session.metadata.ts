export const SKIP_SESSION = 'nestjs-typeorm-session.skip';
export const REQUIRE_SESSION = 'nestjs-typeorm-session.require';

export interface RequireSessionOptions {
  /** Also requires that somebody signed in with `login()`. Default: false. */
  user?: boolean;
}
