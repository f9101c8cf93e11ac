import type {
  Changes, Config, Invite, Message, NewInvite, Page, ReadPosition,
  Room, RoomLists, RoomWithMembers, SignedIn, User,
} from "./model";

/** A request that hangs longer than this (ms) counts as unanswered. */
const TIMEOUT = 15_000;

/**
 * A request that did not succeed. `status` is 0 and `code` is "no_answer" when
 * the server was not reached; the message is a sentence for people.
 */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** Seconds the server asks us to wait; 0 when it did not say. */
    readonly retryAfter = 0,
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** Whether the same request may succeed later: nobody answered, or the server was unwell. */
  get temporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The sentence to show for whatever a request threw. */
export function sentence(problem: unknown): string {
  return problem instanceof Error ? problem.message : "Something went wrong.";
}

async function failure(response: Response): Promise<ApiError> {
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  try {
    const body = (await response.json()) as { error?: string; code?: string };
    if (body.error && body.code) return new ApiError(response.status, body.code, body.error, retryAfter);
  } catch {
    // Not our server's words: a proxy in between, most likely.
  }
  return new ApiError(response.status, "unknown", `The server answered ${response.status}.`, retryAfter);
}

/** Fetches and decodes; every failure is an ApiError. */
export async function request<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT), ...init });
  } catch {
    throw new ApiError(0, "no_answer", "The server cannot be reached.");
  }
  if (!response.ok) throw await failure(response);
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(0, "no_answer", "The server's answer broke off.");
  }
}

function get<T>(path: string): Promise<T> {
  return request<T>(path);
}

function send<T>(method: "POST" | "PATCH" | "DELETE", path: string, body: unknown = {}): Promise<T> {
  return request<T>(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

const query = (values: Record<string, string | number | undefined>): string => {
  const parts = Object.entries(values).filter(([, v]) => v !== undefined);
  return parts.length === 0 ? "" : "?" + parts.map(([k, v]) => `${k}=${encodeURIComponent(String(v))}`).join("&");
};

/** Every request that the client makes, by the server's own names. */
export const api = {
  config: () => get<Config>("/api/config"),
  me: () => get<SignedIn>("/api/me"),

  signup: (name: string, password: string, invite?: string) =>
    send<SignedIn>("POST", "/api/signup", invite ? { name, password, invite } : { name, password }),
  signin: (name: string, password: string) => send<SignedIn>("POST", "/api/signin", { name, password }),
  signout: () => send<unknown>("POST", "/api/signout"),
  signoutEverywhere: () => send<unknown>("POST", "/api/signout-everywhere"),
  changePassword: (old: string, next: string) => send<unknown>("POST", "/api/password", { old, new: next }),
  users: (prefix: string) => get<{ users: User[] }>("/api/users" + query({ query: prefix })),

  invites: () => get<{ invites: Invite[] }>("/api/invites"),
  createInvite: (uses: number, days: number) => send<NewInvite>("POST", "/api/invites", { uses, days }),
  deleteInvite: (id: string) => send<unknown>("DELETE", `/api/invites/${id}`),

  rooms: () => get<RoomLists>("/api/rooms"),
  createRoom: (kind: "open" | "closed", name: string) => send<{ room: Room }>("POST", "/api/rooms", { kind, name }),
  direct: (userId: string) => send<{ room: Room }>("POST", "/api/direct", { userId }),
  room: (id: string) => get<RoomWithMembers>(`/api/rooms/${id}`),
  join: (id: string) => send<{ room: Room }>("POST", `/api/rooms/${id}/join`),
  leave: (id: string) => send<unknown>("POST", `/api/rooms/${id}/leave`),
  addMember: (id: string, name: string) => send<RoomWithMembers>("POST", `/api/rooms/${id}/members`, { addName: name }),
  removeMember: (id: string, userId: string) =>
    send<RoomWithMembers>("POST", `/api/rooms/${id}/members`, { remove: userId }),

  messages: (id: string, before?: number, limit = 50) =>
    get<Page>(`/api/rooms/${id}/messages` + query({ before, limit })),
  changes: (id: string, after: number) => get<Changes>(`/api/rooms/${id}/changes` + query({ after, limit: 200 })),
  sendMessage: (id: string, clientId: string, text: string) =>
    send<{ message: Message }>("POST", `/api/rooms/${id}/messages`, { clientId, text }),
  editMessage: (id: string, message: string, text: string) =>
    send<{ message: Message }>("PATCH", `/api/rooms/${id}/messages/${message}`, { text }),
  deleteMessage: (id: string, message: string) =>
    send<{ message: Message }>("DELETE", `/api/rooms/${id}/messages/${message}`),
  read: (id: string, seq: number) => send<ReadPosition>("POST", `/api/rooms/${id}/read`, { seq }),
};
