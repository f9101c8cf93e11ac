import { ApiError, type Request } from "../api";
import { backoff, pause } from "./backoff";

/**
 * Asks the server to sign something for this socket, form-encoded as
 * pusher-js's own handler would. That handler asks once, and a channel whose
 * signature did not come stays silent until the next connection; so an answer
 * of 5xx, or none, is tried again for as long as the socket lives. Resolves
 * with null when it no longer does, rejects when the server says no.
 */
export async function authorize<T>(
  request: Request,
  path: string,
  form: Record<string, string>,
  stillWanted: () => boolean,
): Promise<T | null> {
  for (let attempt = 0; stillWanted(); attempt++) {
    try {
      const signed = await request<T>(path, { method: "POST", body: new URLSearchParams(form) });
      return stillWanted() ? signed : null;
    } catch (problem) {
      if (!(problem instanceof ApiError) || !problem.temporary) throw problem;
      await pause(Math.max(backoff(attempt), problem.retryAfter * 1000));
    }
  }
  return null;
}
