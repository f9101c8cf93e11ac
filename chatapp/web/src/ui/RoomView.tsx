import { startTransition, useCallback, useMemo, useOptimistic, useRef, useState } from "react";
import { sentence } from "../api";
import type { Room } from "../model";
import { activeMembers } from "../store/members";
import { overlay } from "../store/overlay";
import { lastEditable, ordered, type Row } from "../store/timeline";
import { Composer } from "./Composer";
import { useChat, useChatState, useRoomState } from "./context";
import { LockIcon, MenuIcon, PeopleIcon } from "./icons";
import type { Drawer } from "./useDrawer";
import { Timeline } from "./Timeline";
import { focusToWrite } from "./touch";
import { Typing } from "./Typing";

type Props = { room: Room; onDrawer: (drawer: Drawer) => void; onVisit: (room: string) => void };

/** The open room: head, timeline, who is typing, composer. */
export function RoomView({ room, onDrawer, onVisit }: Props) {
  return (
    <>
      <RoomHead room={room} onDrawer={onDrawer} />
      {room.member ? <Conversation room={room} /> : <Joining room={room} onVisit={onVisit} />}
    </>
  );
}

function RoomHead({ room, onDrawer }: { room: Room; onDrawer: (drawer: Drawer) => void }) {
  const known = useRoomState(room.id).members;
  const members = useMemo(() => activeMembers(known).length || room.memberCount, [known, room.memberCount]);
  const here = useChatState((state) => state.here);
  const note = room.kind === "direct"
    ? `Direct message${room.with && here.has(room.with.id) ? ", here now" : ""}`
    : `${members} ${members === 1 ? "member" : "members"}${here.size > 0 ? `, ${here.size} here` : ""}`;
  return (
    <header className="room-head">
      <button className="ghost narrow-only" aria-label="Show rooms" onClick={() => onDrawer("rooms")}><MenuIcon /></button>
      <h1>
        {room.kind !== "direct" && <span className="sign" aria-hidden="true">{room.kind === "closed" ? <LockIcon /> : "#"}</span>}
        <span className="room-name" title={room.name}>{room.name}</span>
      </h1>
      {room.member && <p className="quiet head-note">{note}</p>}
      {room.member && <button className="ghost narrow-only" aria-label="Show people" onClick={() => onDrawer("people")}><PeopleIcon /></button>}
    </header>
  );
}

function Joining({ room, onVisit }: { room: Room; onVisit: (room: string) => void }) {
  const chat = useChat();
  return (
    <div className="joining">
      <p>You are not a member of #{room.name}.</p>
      <button className="primary" onClick={() => void chat.join(room.id)
        .then((joined) => onVisit(joined.id), (e: unknown) => chat.notice(sentence(e)))}>Join</button>
    </div>
  );
}

function Conversation({ room }: { room: Room }) {
  const chat = useChat();
  const me = useChatState((state) => state.me);
  const state = useRoomState(room.id);
  // The store is the truth; the overlay only runs ahead of it, and lands on
  // the same rows, since both are keyed by client message id.
  const [shown, lay] = useOptimistic(state.rows, overlay);
  const rows = useMemo(() => ordered(shown), [shown]);
  const [editing, setEditing] = useState<string | null>(() => chat.drafts.edit(room.id)?.clientId ?? null);
  const edits = useCallback((clientId: string | null) => {
    chat.drafts.setEdit(room.id, null);
    setEditing(clientId);
  }, [chat, room.id]);

  const post = useCallback((row: Row) => startTransition(async () => {
    lay({ kind: "send", row });
    await chat.send(room.id, row);
  }), [chat, lay, room.id]);

  const remove = useCallback((row: Row) => startTransition(async () => {
    lay({ kind: "remove", clientId: row.clientId });
    await chat.remove(room.id, row);
  }), [chat, lay, room.id]);

  const box = useRef<HTMLTextAreaElement>(null);
  // The buttons of an unsent message go with what they do: the focus has to go somewhere.
  const retry = useCallback((row: Row) => {
    focusToWrite(box.current);
    post(row);
  }, [post]);
  const discard = useCallback((row: Row) => {
    focusToWrite(box.current);
    chat.discard(room.id, row.clientId);
  }, [chat, room.id]);

  const edit = useCallback((row: Row, text: string) => chat.edit(room.id, row, text), [chat, room.id]);

  return (
    <>
      <Timeline room={room} state={state} rows={rows} editing={editing} onEditing={edits} onEdit={edit}
        onRemove={remove} onRetry={retry} onDiscard={discard} />
      <Typing room={room.id} />
      <Composer room={room} box={box} editing={editing !== null} onSend={(text) => post(chat.draft(text))}
        onEditLast={() => edits(lastEditable(rows, me.id)?.clientId ?? null)} />
    </>
  );
}
