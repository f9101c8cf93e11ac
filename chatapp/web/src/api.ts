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
    /** With `channel_changed`: the channel's present name. */
    readonly channel = "",
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
    const body = (await response.json()) as { error?: string; code?: string; channel?: string };
    if (body.error && body.code) return new ApiError(response.status, body.code, body.error, retryAfter, body.channel);
  } catch {
    // Not our server's words: a proxy in between, most likely.
  }
  return new ApiError(response.status, "unknown", `The server answered ${response.status}.`, retryAfter);
}

/** What fetches: the browser's own, or in Node one that keeps a cookie. */
export type Fetcher = (path: string, init: RequestInit) => Promise<Response>;

const browserFetch: Fetcher = (path, init) => fetch(path, init);

/** Who a request is sent as, and what to do when the server does not agree. */
export type Identity = {
  /** The server answers 409 `other_user` if the cookie belongs to somebody else. */
  user: string;
  /** The session has ended, or is another user's. */
  onDoubt: () => void;
};

const DOUBTS = new Set(["not_signed_in", "other_user"]);

export type Request = <T>(path: string, init?: RequestInit) => Promise<T>;

/** Returns a function that fetches and decodes; each of its failures is an ApiError. */
export function requester(identity: Identity | null = null, fetcher: Fetcher = browserFetch): Request {
  return async <T>(path: string, init: RequestInit = {}): Promise<T> => {
    try {
      return await decode<T>(await answer(fetcher, path, identity ? withUser(init, identity.user) : init));
    } catch (problem) {
      if (problem instanceof ApiError && DOUBTS.has(problem.code)) identity?.onDoubt();
      throw problem;
    }
  };
}

function withUser(init: RequestInit, user: string): RequestInit {
  const headers = new Headers(init.headers);
  headers.set("X-Chat-User", user);
  return { ...init, headers };
}

async function answer(fetcher: Fetcher, path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetcher(path, { credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT), ...init });
  } catch {
    throw new ApiError(0, "no_answer", "The server cannot be reached.");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

async function decode<T>(response: Response): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(0, "no_answer", "The server's answer broke off.");
  }
}

const query = (values: Record<string, string | number | undefined>): string => {
  const parts = Object.entries(values).filter(([, v]) => v !== undefined);
  return parts.length === 0 ? "" : "?" + parts.map(([k, v]) => `${k}=${encodeURIComponent(String(v))}`).join("&");
};

export type Api = ReturnType<typeof apiOver>;

/** Every request that the client makes, by the server's own names. */
export function apiOver(request: Request) {
  const get = <T>(path: string) => request<T>(path);
  const send = <T>(method: "POST" | "PATCH" | "DELETE", path: string, body: unknown = {}, init: RequestInit = {}) =>
    request<T>(path, { ...init, method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return {
    request,
    config: () => get<Config>("/api/config"),
    me: () => get<SignedIn>("/api/me"),
    online: () => get<{ online: string[] }>("/api/online"),

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
    /** keepalive: the request outlives the page. */
    read: (id: string, seq: number) => send<ReadPosition>("POST", `/api/rooms/${id}/read`, { seq }, { keepalive: true }),
  };
}

/** The server as somebody sees it who has not signed in. */
export const door = apiOver(requester());
