import type { Member, Message, Room, User } from "../model";

export const ME: User = { id: "me", name: "Ann" };
export const BO: User = { id: "bo", name: "Bo" };

/** Message number seq, by Bo unless told. */
export function message(seq: number, part: Partial<Message> = {}): Message {
  return {
    id: `m${seq}`, room: "r", seq, rev: seq, clientId: `c${seq}`, user: BO, text: `text ${seq}`,
    createdAt: seq * 1_000_000, editedAt: 0, deleted: false, ...part,
  };
}

export function member(user: User, part: Partial<Member> = {}): Member {
  return { user, role: "member", active: true, readSeq: 0, rev: 1, readRev: 0, ...part };
}

export function room(id: string, part: Partial<Room> = {}): Room {
  return {
    id, kind: "open", name: id, channel: `presence-chat-room-${id}`, rev: 1, lastSeq: 0, memberCount: 1,
    member: true, role: "member", readSeq: 0, unread: 0, with: null, last: null, ...part,
  };
}
