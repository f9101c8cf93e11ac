/**
 * The objects of the server's API, as chatapp/API.md describes them.
 * Times are microseconds since 1970; ids are opaque.
 */

export type User = { id: string; name: string };

/** The person who is signed in; channel is their own, by its present name. */
export type Me = User & { admin: boolean; channel: string };

export type Role = "owner" | "member";

export type Member = {
  user: User;
  role: Role;
  /** false: has left, or was removed. */
  active: boolean;
  /** The newest message that this member has read. */
  readSeq: number;
  /** The room's revision that last changed the membership. */
  rev: number;
  /** The room's revision that last changed readSeq. */
  readRev: number;
};

export type Message = {
  id: string;
  room: string;
  /** The revision that created it: the order within the room. Never changes. */
  seq: number;
  /** The revision that last changed it: of two versions the greater is newer. */
  rev: number;
  /** Chosen by the sender's browser; unique within the room. */
  clientId: string;
  user: User;
  text: string;
  createdAt: number;
  /** 0: never. */
  editedAt: number;
  /** text is "" then. */
  deleted: boolean;
};

export type RoomKind = "open" | "closed" | "direct";

export type Room = {
  id: string;
  kind: RoomKind;
  /** In a direct room, the other's name. */
  name: string;
  /** The room's channel by its present name, which changes. */
  channel: string;
  rev: number;
  lastSeq: number;
  memberCount: number;
  member: boolean;
  role: Role | "";
  readSeq: number;
  /** At most 100, which means "100 or more". */
  unread: number;
  with: User | null;
  last: Message | null;
  /** When somebody else wrote last, as news have it; not from the server's Room. */
  newsAt?: number;
};

export type Config = {
  key: string;
  cluster: string;
  host: string | null;
  port: number;
  scheme: "http" | "https";
  /** The server gives a page that names a token what it has missed. */
  resume: boolean;
  transport: "push" | "poll";
  /** Milliseconds. */
  pollInterval: number;
  signup: "open" | "invite" | "closed";
  firstAccount: boolean;
  maxMessage: number;
  maxName: number;
  minPassword: number;
  maxMembers: number;
  version: string;
};

export type SignedIn = { me: Me; general: string };

export type RoomLists = { rooms: Room[]; others: Room[] };

export type RoomWithMembers = { room: Room; members: Member[] };

/** A page of messages, ascending; rev is what the answer is at least as new as. */
export type Page = { messages: Message[]; more: boolean; rev: number };

/** What changed after a revision. */
export type Changes = { rev: number; more: boolean; channel: string; messages: Message[]; members: Member[] };

export type Invite = { id: string; createdAt: number; expiresAt: number; usesLeft: number };

export type NewInvite = { invite: Invite; token: string; path: string };

export type ReadPosition = { readSeq: number; unread: number };

/** What one's own channel says of a room: somebody else wrote, or a message of theirs was deleted. */
export type News = {
  room: string;
  rev: number;
  seq: number;
  by: User;
  createdAt: number;
  deleted?: boolean;
  /** Nothing but the fact that there is news: the list has it. */
  fetch?: boolean;
};

/** Who came and who went, by user id; or only that somebody did. */
export type Online = { online?: readonly string[]; offline?: readonly string[]; fetch?: boolean };
